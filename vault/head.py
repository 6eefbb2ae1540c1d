"""HEAD wherever there is GET (RFC 9110, section 9.3.2): the same checks and headers, and no content."""

from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ASKED: Final = "talon.head"


class Head:
    """ASGI middleware: a HEAD is served as the GET of the same path, and its body is kept back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # a copy: the server looks at its own scope to know that no content may follow
        asked = {**scope, "method": "GET", _ASKED: True}
        await self._app(asked, receive, without_body)
        # which route took it, for those who count outside of here
        scope.update({name: asked[name] for name in ("route", "path_params") if name in asked})


def is_head(request: Request) -> bool:
    """Whether only the headers were asked for: then nothing may be used up that the caller does not get to see."""
    return bool(request.scope.get(_ASKED))
