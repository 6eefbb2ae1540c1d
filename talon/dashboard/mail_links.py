"""What the links in mails open. Looking changes nothing, because mail scanners look too; only the button does."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from talon.dashboard.api import ask
from talon.dashboard.fields import NEW_PASSWORD, Button, Link, email_field, hidden
from talon.dashboard.route import PageRoute
from talon.dashboard.sign_in import Visitor, to_login
from talon.dashboard.visit import Visit

router = APIRouter(route_class=PageRoute, include_in_schema=False, default_response_class=HTMLResponse)

Token = Annotated[str, Query(min_length=1, max_length=512)]
Code = Annotated[str, Query(max_length=32)]

_TO_LOGIN = (Link("Sign in", "/login"),)


@router.get("/verify-email")
async def verify_email_form(visitor: Visitor, token: Token) -> Response:
    """Ask to confirm an address."""
    return _verify_email(visitor, token)


@router.post("/verify-email")
async def verify_email(visitor: Visitor, request: Request) -> Response:
    """Confirm the address; the account exists from now on."""
    token = (await visitor.form()).get("token", "")
    answer = await ask(request, "POST", "/v1/auth/verify-email", {"token": token})
    if not answer.ok:
        return _verify_email(visitor, token, problem=answer.detail, status=answer.status)
    return visitor.show("Address confirmed", lines=("Your account is ready.",), links=_TO_LOGIN)


@router.get("/forgot-password")
async def forgot_password_form(visitor: Visitor) -> Response:
    """Ask for the address of the account."""
    return _forgot_password(visitor)


@router.post("/forgot-password")
async def forgot_password(visitor: Visitor, request: Request) -> Response:
    """Say the same whether or not there is such an account."""
    email = (await visitor.form()).get("email", "")
    answer = await ask(request, "POST", "/v1/auth/forgot-password", {"email": email})
    if not answer.ok:
        return _forgot_password(visitor, email, problem=answer.detail, status=answer.status)
    return visitor.show("Check your mail", lines=(str(answer.body.get("message", "")),), links=_TO_LOGIN)


@router.get("/reset-password")
async def reset_password_form(visitor: Visitor, token: Token) -> Response:
    """Ask for the new password."""
    return _reset_password(visitor, token)


@router.post("/reset-password")
async def reset_password(visitor: Visitor, request: Request) -> Response:
    """Set the new password."""
    form = await visitor.form()
    token = form.get("token", "")
    body = {"token": token, "new_password": form.get("password", "")}
    answer = await ask(request, "POST", "/v1/auth/reset-password", body)
    if not answer.ok:
        return _reset_password(visitor, token, problem=answer.detail, status=answer.status)
    return visitor.show("Password changed", lines=("Sign in with your new password.",), links=_TO_LOGIN)


@router.get("/know-device")
async def know_device_form(visitor: Visitor, token: Token) -> Response:
    """Ask whether this device is the person's own."""
    return _know_device(visitor, token)


@router.post("/know-device")
async def know_device(visitor: Visitor, request: Request) -> Response:
    """Know the device from now on."""
    token = (await visitor.form()).get("token", "")
    answer = await ask(request, "POST", "/v1/auth/know-device", {"token": token})
    if not answer.ok:
        return _know_device(visitor, token, problem=answer.detail, status=answer.status)
    shown = visitor.show("This device is known now", lines=("Sign in again.",), links=_TO_LOGIN)
    visitor.cookies.put(shown, visitor.cookies.device, answer.body["device_token"], answer.body["expires_in"])
    return shown


@router.get("/cli/verify")
async def device_form(visitor: Visitor, code: Code = "") -> Response:
    """Ask a signed-in person whether a command line may act for him."""
    if visitor.person is None:
        return to_login(f"/cli/verify?{urlencode({'code': code})}")
    return _device(visitor, code)


@router.post("/cli/verify")
async def device(visitor: Visitor, request: Request) -> Response:
    """Tell the waiting command line."""
    form = await visitor.form()
    code = form.get("code", "")
    if visitor.person is None:
        return to_login(f"/cli/verify?{urlencode({'code': code})}")
    verb = "approve" if form.get("answer") == "approve" else "deny"
    answer = await ask(request, "POST", f"/v1/auth/device/{verb}", {"user_code": code}, caller=visitor.person)
    if not answer.ok:
        return _device(visitor, code, problem=answer.detail, status=answer.status)
    said = "The device is signed in." if verb == "approve" else "The device was turned away."
    return visitor.show("Done", lines=(said, "You can close this page."))


@router.get("/invite")
async def invitation_form(visitor: Visitor, token: Token) -> Response:
    """Ask a signed-in person whether to join an organisation."""
    if visitor.person is None:
        return to_login(f"/invite?{urlencode({'token': token})}")
    return _invitation(visitor, token)


@router.post("/invite")
async def invitation(visitor: Visitor, request: Request) -> Response:
    """Join."""
    token = (await visitor.form()).get("token", "")
    if visitor.person is None:
        return to_login(f"/invite?{urlencode({'token': token})}")
    answer = await ask(request, "POST", "/v1/org/invitations/accept", {"token": token}, caller=visitor.person)
    if not answer.ok:
        return _invitation(visitor, token, problem=answer.detail, status=answer.status)
    return visitor.show("Welcome", lines=("You belong to the organisation now. Sign in again.",), links=_TO_LOGIN)


def _verify_email(visitor: Visit, token: str, **more: Any) -> HTMLResponse:
    return visitor.show(
        "Confirm your address", fields=(hidden("token", token),), buttons=(Button("Confirm"),), **more
    )


def _forgot_password(visitor: Visit, email: str = "", **more: Any) -> HTMLResponse:
    fields, buttons = (email_field(email),), (Button("Send me a link"),)
    return visitor.show("Forgot your password?", fields=fields, buttons=buttons, **more)


def _reset_password(visitor: Visit, token: str, **more: Any) -> HTMLResponse:
    fields = (NEW_PASSWORD, hidden("token", token))
    return visitor.show("Choose a new password", fields=fields, buttons=(Button("Change it"),), **more)


def _know_device(visitor: Visit, token: str, **more: Any) -> HTMLResponse:
    return visitor.show(
        "Let this device sign in?",
        lines=("Go on only if you have just tried to sign in yourself, on this device.",),
        fields=(hidden("token", token),),
        buttons=(Button("This is my device"),),
        **more,
    )


def _device(visitor: Visit, code: str, **more: Any) -> HTMLResponse:
    return visitor.show(
        "Let a device sign in?",
        lines=(
            "A command line asks to act as you. Allow it only if you started it yourself just now,"
            f" and if it shows this code: {code}",
        ),
        fields=(hidden("code", code),),
        buttons=(Button("Allow", "approve"), Button("Deny", "deny")),
        **more,
    )


def _invitation(visitor: Visit, token: str, **more: Any) -> HTMLResponse:
    return visitor.show(
        "Join the organisation?",
        lines=("You leave the one you are in now.",),
        fields=(hidden("token", token),),
        buttons=(Button("Join"),),
        **more,
    )
