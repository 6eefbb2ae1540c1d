"""ASGI middleware that counts requests, outside everything else."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vault.metrics import counts

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# requests that no route took: their paths are the client's invention and would be labels without number
NO_ROUTE = "none"


class CountRequests:
    """Counts by the route's template, never by the path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            # 0: the client left before there was an answer
            method = scope["method"] if scope["method"] in METHODS else "other"
            counts.request(method, route_of(scope), status, time.perf_counter() - began)


def route_of(scope: Scope) -> str:
    """The template of the route that took the request."""
    return getattr(scope.get("route"), "path", None) or NO_ROUTE
