"""One connection of the API: uvicorn's own HTTP/1.1, with bounds on time and size that it lacks. Times in seconds."""

import asyncio
import json
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from talon.doors import BODY_GRACE_S, BODY_PACE, HEAD_S, STUCK_S, Doorkeeper
from vault.body_limit import MAX_DISCARDED_BYTES

# a line for each connection would let anybody fill the log: the keeper counts them
_A_LINE_EACH = ("Invalid HTTP request received.", "Unsupported upgrade request.", "No supported WebSocket library")
MAX_HEAD_BYTES = 64 * 1024
# with what chunks cost; what is more than that is no body but an attack
MAX_MESSAGE_BYTES = 2 * MAX_DISCARDED_BYTES
MAX_PIPELINED = 16


class Door(HttpToolsProtocol):
    """Tells the keeper when it waits and when it is served, and by when it must be done."""

    def __init__(self, keeper: Doorkeeper, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._keeper = keeper
        # when the present wait began, None while a request is served; what has come of the present message
        self._head_since: float | None = keeper.clock()
        self._body_since: float | None = None
        self._bytes = 0
        self._stuck_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Come in, if there is room."""
        super().connection_made(transport)
        if not self._keeper.admit(self, self.client[0] if self.client else None):
            transport.write(_answer(b"503 Service Unavailable", "Too many connections at the moment"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave."""
        self._keeper.left(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came, as long as its size is bearable."""
        if self._head_since is None and self._body_since is None and self._is_idle():
            # the first byte of the next request
            self._wait_for_head()
        self._bytes += len(data)
        super().data_received(data)
        # what is no body is a head, if only of the request after the one that is served
        if self._bytes > (MAX_HEAD_BYTES if self._body_since is None else MAX_MESSAGE_BYTES):
            self.hang_up("too_large")
            self._keeper.note("too_large")

    def on_headers_complete(self) -> None:
        """The head is there; ValueError, which becomes a 400, for more requests in advance than anybody needs."""
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests at once")
        self._head_since, self._body_since = None, self._keeper.clock()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is there too."""
        self._body_since, self._bytes = None, 0
        # it may have been refused long before its body was there
        if not self._is_idle():
            self._keeper.is_served(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Answered: uvicorn's own timer bounds how long nothing may come now."""
        super().on_response_complete()
        if self._is_idle():
            self._keeper.waits(self)

    def pause_writing(self) -> None:
        """The client does not take what we send."""
        self._stuck_since = self._keeper.clock()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It took some."""
        self._stuck_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._keeper.note("not_http")
        super().send_400_response(msg)

    def overdue(self, now: float) -> str | None:
        """Why the connection must go now."""
        if self._stuck_since is None and self.transport.is_closing():
            # what is left to send is not taken
            self._stuck_since = now
        if self._stuck_since is not None and now - self._stuck_since > STUCK_S:
            return "not_reading"
        if self._head_since is not None and now - self._head_since > HEAD_S:
            return "slow_head"
        # while we do not read, or have not asked for it yet, its pace is ours
        is_ours = self.flow.read_paused or (self.cycle is not None and self.cycle.waiting_for_100_continue)
        if self._body_since is not None and not is_ours:
            age = now - self._body_since
            if age > BODY_GRACE_S and self._bytes < age * BODY_PACE:
                return "slow_body"
        return None

    def hang_up(self, reason: str) -> None:
        """Close at once: a client that is slow to send is slow to read as well. One that may listen is told why."""
        if reason == "slow_body" and self.cycle is not None and not self.cycle.response_started:
            self.transport.write(_answer(b"408 Request Timeout", "The body did not arrive in time"))
            self.transport.close()
        else:
            self.transport.abort()

    def _wait_for_head(self) -> None:
        self._head_since, self._bytes = self._keeper.clock(), 0

    def _is_idle(self) -> bool:
        return not self.pipeline and (self.cycle is None or self.cycle.response_complete)


def quieten() -> None:
    """Have uvicorn say nothing of single connections."""
    logging.getLogger("uvicorn.error").addFilter(lambda line: not line.getMessage().startswith(_A_LINE_EACH))


def _answer(status: bytes, detail: str) -> bytes:
    code, _, title = status.decode().partition(" ")
    body = json.dumps({"type": "about:blank", "title": title, "status": int(code), "detail": detail}).encode()
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (status, len(body))
    return head + b"retry-after: 1\r\nconnection: close\r\n\r\n" + body
