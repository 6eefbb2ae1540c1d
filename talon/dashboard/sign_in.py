"""Signing in and out with a browser: /login, /login/code, /logout, /signup and the front page."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from talon.dashboard.api import Answer, ask
from talon.dashboard.cookies import SESSION_HOURS
from talon.dashboard.fields import NEW_PASSWORD, PASSWORD, Button, Field, Link, email_field, hidden, local
from talon.dashboard.route import PageRoute
from talon.dashboard.visit import Visit, visit
from vault.auth import places, web_sessions
from vault.auth.authenticate import authenticator_of

router = APIRouter(route_class=PageRoute, include_in_schema=False, default_response_class=HTMLResponse)

Visitor = Annotated[Visit, Depends(visit)]
Next = Annotated[str, Query(max_length=2048)]

CODE_SECONDS = 300
_CODE = Field(
    "code", "Code from your authenticator app, or a recovery code", autocomplete="one-time-code", longest=64
)


def to_login(target: str) -> Response:
    """Have the visitor sign in first and then come back to `target` on this site."""
    return RedirectResponse(f"/login?{urlencode({'next': target})}", status_code=303)


NO_CONSOLE = "There is no console here: whatever else you do, you do by requests. /openapi.json lists them."


@router.get("/")
async def front(visitor: Visitor) -> Response:
    """Where everybody begins."""
    if visitor.person is None:
        return to_login("/")
    return visitor.show("Welcome", lines=("You are signed in.", NO_CONSOLE))


@router.get("/login")
async def login_form(visitor: Visitor, next: Next = "/") -> Response:  # noqa: A002 - the query's name
    """Ask for address and password."""
    if visitor.person is not None:
        return RedirectResponse(local(next), status_code=303)
    return _login(visitor, next)


@router.post("/login")
async def login(visitor: Visitor, request: Request) -> Response:
    """Sign in, or ask for the second factor."""
    form = await visitor.form()
    target = form.get("next", "/")
    credentials = {"email": form.get("email", ""), "password": form.get("password", "")}
    answer = await ask(request, "POST", "/v1/auth/token", credentials)
    if not answer.ok:
        return _login(visitor, target, problem=answer.detail, status=answer.status, email=credentials["email"])
    if answer.body.get("mfa_required"):
        shown = _code(visitor, target)
        visitor.cookies.put(shown, visitor.cookies.challenge, answer.body["mfa_token"], CODE_SECONDS)
        return shown
    return await _signed_in(visitor, request, answer, target)


@router.post("/login/code")
async def login_code(visitor: Visitor, request: Request) -> Response:
    """Sign in with the second factor."""
    form = await visitor.form()
    target = form.get("next", "/")
    challenge = request.cookies.get(visitor.cookies.challenge, "")
    body = {"mfa_token": challenge, "code": form.get("code", "")}
    answer = await ask(request, "POST", "/v1/auth/mfa/verify", body)
    if not answer.ok:
        return _code(visitor, target, problem=answer.detail, status=answer.status)
    return await _signed_in(visitor, request, answer, target)


@router.post("/logout")
async def logout(visitor: Visitor) -> Response:
    """End the session here and in the database."""
    await visitor.form()
    response = RedirectResponse("/login", status_code=303)
    if visitor.person is not None:
        async with visitor.context.database.begin() as connection:
            await web_sessions.end(connection, visitor.person, visitor.cookie)
    visitor.cookies.drop(response, visitor.cookies.session)
    return response


@router.get("/signup")
async def signup_form(visitor: Visitor) -> Response:
    """Ask for what an account needs."""
    return _signup(visitor)


@router.post("/signup")
async def signup(visitor: Visitor, request: Request) -> Response:
    """Start an account; the mail does the rest."""
    form = await visitor.form()
    body = {"email": form.get("email", ""), "password": form.get("password", "")}
    answer = await ask(request, "POST", "/v1/auth/signup", body)
    if not answer.ok:
        return _signup(visitor, problem=answer.detail, status=answer.status, email=body["email"])
    return visitor.show("Check your mail", lines=("We sent you a link. It confirms your address.",))


async def _signed_in(visitor: Visit, request: Request, answer: Answer, target: str) -> Response:
    # the token proves who it is, once; the session goes on without it
    authenticator = authenticator_of(request)
    person = await authenticator.caller(str(answer.body["access_token"]), authenticator.address(request))
    async with visitor.context.database.logins.begin() as connection:
        cookie = await web_sessions.start(connection, person, SESSION_HOURS)
        device = visitor.cookies.get(request, visitor.cookies.device)
        if device is None or not await places.renew_device(connection, person.id, device):
            device = await places.add_device(connection, person.id)
    response = RedirectResponse(local(target), status_code=303)
    # a new cookie for the signed-in person: what was known before signing in must not be enough afterwards
    visitor.cookies.put(response, visitor.cookies.session, cookie, SESSION_HOURS * 3600)
    visitor.cookies.put(response, visitor.cookies.device, device, places.DEVICE_DAYS * 86_400)
    visitor.cookies.drop(response, visitor.cookies.visit)
    visitor.cookies.drop(response, visitor.cookies.challenge)
    return response


def _login(visitor: Visit, target: str, email: str = "", **more: Any) -> HTMLResponse:
    return visitor.show(
        "Sign in",
        action="/login",
        fields=(email_field(email), PASSWORD, _next(target)),
        buttons=(Button("Sign in"),),
        links=(Link("Forgot your password?", "/forgot-password"), Link("Create an account", "/signup")),
        **more,
    )


def _code(visitor: Visit, target: str, **more: Any) -> HTMLResponse:
    return visitor.show(
        "Second factor", action="/login/code", fields=(_CODE, _next(target)), buttons=(Button("Go on"),), **more
    )


def _signup(visitor: Visit, email: str = "", **more: Any) -> HTMLResponse:
    return visitor.show(
        "Create an account",
        action="/signup",
        fields=(email_field(email), NEW_PASSWORD),
        buttons=(Button("Create the account"),),
        **more,
    )


def _next(target: str) -> Field:
    return hidden("next", local(target))
