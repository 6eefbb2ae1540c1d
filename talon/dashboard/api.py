"""Pages speak to the API as every client does: the same routes, checks and answers, without a network between."""

from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import Request
from starlette.types import Receive, Scope, Send

from vault.auth.authenticate import SIGNED_IN
from vault.auth.caller import Caller
from vault.auth.origin import FORWARDED

TIMEOUT_S = 30.0
# who asks, through whom, and which device: a page's request stands for its browser's
_PASSED_ON = frozenset(name.encode() for name in (*FORWARDED, "user-agent", "cookie"))


@dataclass(frozen=True)
class Answer:
    """What the API said."""

    status: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300

    @property
    def detail(self) -> str:
        """Why not, in words for people."""
        return str(self.body.get("detail", "That did not work"))


async def ask(
    request: Request, method: str, path: str, body: dict[str, Any] | None = None, *, caller: Caller | None = None
) -> Answer:
    """One request to the application that `request` came to, as a signed-in person or as nobody.

    How long to wait, when there were too many, is kept for the page's own answer.
    """
    application = request.app

    async def as_person(scope: Scope, receive: Receive, send: Send) -> None:
        if caller is not None:
            # set here, inside the process: no header or body of a client becomes part of a scope
            scope[SIGNED_IN] = caller
        await application(scope, receive, send)

    peer = (request.client.host, request.client.port) if request.client else ("", 0)
    # every line and byte as it came: of several X-Forwarded-For a proxy's own is the last
    headers = [(name, value) for name, value in request.headers.raw if name in _PASSED_ON]
    transport = httpx.ASGITransport(app=as_person, client=peer)
    async with httpx.AsyncClient(transport=transport, base_url="http://talon", headers=headers) as http:
        answer = await http.request(method, path, json=body, timeout=TIMEOUT_S)
    request.state.retry_after = answer.headers.get("retry-after")
    return Answer(answer.status_code, answer.json() if answer.content else {})
