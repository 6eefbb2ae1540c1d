"""ASGI middleware before everything that costs something: too many requests of one client are answered 429."""

from typing import cast

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from vault.auth.authenticate import authenticator_of
from vault.auth.client_address import group_of
from vault.context import Context
from vault.errors import Problem
from vault.limits.hit import hit
from vault.limits.routes import limits_of
from vault.problems import render


class RateLimit:
    """Counts every request of a client against the limits of its route."""

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
    client = group_of(authenticator_of(request).address(request))
    for name in names:
        await hit(context, name, client)
