"""ASGI middleware before everything that costs something: too many requests of one client are answered 429."""

from typing import cast

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from vault.auth.authenticate import Authenticator, authenticator_of
from vault.auth.client_address import group_of
from vault.context import Context
from vault.errors import Problem
from vault.limits.hit import hit
from vault.limits.routes import limits_of
from vault.limits.whom import Whom
from vault.problems import render


class RateLimit:
    """Counts every request of a client, or of a principal that we know, against the limits of its route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            request = Request(scope)
            try:
                await _count(request)
            except Problem as problem:
                await render(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _count(request: Request) -> None:
    names = limits_of(request.method, request.url.path)
    if not names:
        return
    context = cast(Context, request.app.state.context)
    authenticator = authenticator_of(request)
    client = group_of(authenticator.address(request))
    await _count_widely(request, context, names[0], client, _whom_of(request, context, authenticator))
    for name in names[1:]:
        # each route by itself: a flood of one kind of log-in leaves the others alone
        await hit(context, name, client, request.url.path)


async def _count_widely(request: Request, context: Context, name: str, client: str, whom: Whom) -> None:
    principal = whom.remembered(request)
    if principal is None:
        try:
            await hit(context, name, client)
        except Problem:
            principal = await whom.verified(request)
            if principal is None:
                raise
    if principal is not None:
        await hit(context, name, principal)


def _whom_of(request: Request, context: Context, authenticator: Authenticator) -> Whom:
    state = request.app.state
    if not hasattr(state, "whom"):
        state.whom = Whom(context, authenticator)
    return cast(Whom, state.whom)
