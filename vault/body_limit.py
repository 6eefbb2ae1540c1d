"""ASGI middleware in front of everything: bodies bounded in size, time and depth, and no addresses that are no text.

The depth matters: Python's own JSON parser recurses in C up to the interpreter's recursion limit, and libraries
raise that limit (py_ecc, which eth-account imports, to 100,000). A body of that many brackets then overflows the
stack and kills the process, credentials or not. orjson refuses more than 1,024 levels, so it goes first.

So do the values: 5 MiB of empty arrays are small to send and keep the parsers busy for seconds, and every request of
this process waits for them.

A key that an object has twice is refused: which of its two values counts is every parser's own choice, so whoever
checked the request before us may have read another one than we would act on.
"""

import asyncio
import json
import re
from itertools import islice
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vault.errors import Problem, bad_request

MAX_BODY_BYTES = 5 * 1024 * 1024
# No request of ours has more than a few hundred
MAX_VALUES = 20_000
# a whole string (RFC 8259, section 7), or what stands before a value
_PART = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{,]', re.DOTALL)
# Read and thrown away before a 413: a client that sends first and listens later would see only a reset connection
MAX_DISCARDED_BYTES = 4 * MAX_BODY_BYTES
BODY_DEADLINE_S = 30.0
DISCARD_DEADLINE_S = 3.0


class ClientGone(Exception):  # noqa: N818 - an event, not an error
    """The client closed the connection before its body was complete."""


class _KeyTwiceError(Exception):
    """An object of the body has a key twice."""


class BodyLimit:
    """Reads the body (at most `limit` bytes, within `deadline_s` seconds) before the application sees the request.

    Answers 413 (too large), 408 (too slow), 415 (compressed: what it unpacks to has no bound) or 400 (a NUL or
    invalid UTF-8 in the path or query) by itself, because it stands outside the application's own error handling.
    """

    def __init__(self, app: ASGIApp, *, limit: int = MAX_BODY_BYTES, deadline_s: float = BODY_DEADLINE_S) -> None:
        self._app = app
        self._limit = limit
        self._deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            _check_target(scope)
            body = await self._whole_body(scope, receive)
        except Problem as problem:
            answer = JSONResponse(problem.body(), status_code=problem.status, headers=problem.headers)
            await answer(scope, receive, send)
            return
        except ClientGone:
            return  # there is nobody to answer
        await self._app(scope, receive if body is None else _replay(body, receive), send)

    async def _whole_body(self, scope: Scope, receive: Receive) -> bytes | None:
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length")
        if declared is None and b"transfer-encoding" not in headers:
            return None
        announced = int(declared) if declared is not None and declared.isdigit() else 0
        if announced > MAX_DISCARDED_BYTES:
            raise self._too_large()
        too_large = announced > self._limit
        try:
            async with asyncio.timeout(DISCARD_DEADLINE_S if too_large else self._deadline_s):
                body = await self._read(receive, keep=not too_large)
        except TimeoutError:
            if too_large:
                raise self._too_large() from None
            raise Problem(408, "The body did not arrive in time", headers={"Connection": "close"}) from None
        # after reading, so that the client is there to hear it
        _check_encoding(headers.get(b"content-encoding", b""))
        # Every value counts: which of two headers the application believes is not known here.
        types = [value.lower() for name, value in scope["headers"] if name == b"content-type"]
        if body and (not types or any(b"json" in each for each in types)):
            _check_json(body)
        return body

    async def _read(self, receive: Receive, *, keep: bool) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:  # bounded by the size and by the caller's deadline
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            keep = keep and size <= self._limit
            if keep:
                chunks.append(chunk)
            else:
                chunks.clear()
            ended = not message.get("more_body", False)
            if ended and keep:
                return b"".join(chunks)
            if ended or size > MAX_DISCARDED_BYTES:
                raise self._too_large()

    def _too_large(self) -> Problem:
        detail = f"The body is larger than {self._limit} bytes"
        return Problem(413, detail, title="Content Too Large", headers={"Connection": "close"})


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def _check_encoding(encoding: bytes) -> None:
    if encoding.strip().lower() not in (b"", b"identity"):
        detail = "Compressed bodies are not accepted; send it as it is, without Content-Encoding"
        raise Problem(415, detail, headers={"Accept-Encoding": "identity"})


def _check_json(body: bytes) -> None:
    if _has_too_many_values(body):
        raise bad_request(f"The body has more than {MAX_VALUES} values")
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        raise bad_request("The body is not valid JSON") from None
    try:
        json.loads(body, object_pairs_hook=_keys_once)
    except _KeyTwiceError:
        raise bad_request("The body has an object with the same key twice") from None
    except ValueError:  # a number of more digits than Python reads
        raise bad_request("The body is not valid JSON") from None


def _has_too_many_values(body: bytes) -> bool:
    if sum(body.count(sign) for sign in b",[{") < MAX_VALUES:
        return False
    # that many signs may stand inside a long text; at most a string for each that does not
    parts = _PART.finditer(body)
    return any(True for _ in islice(parts, 2 * MAX_VALUES, None))


def _keys_once(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) != len(pairs):
        raise _KeyTwiceError


def _check_target(scope: Scope) -> None:
    for part in (scope.get("raw_path") or b"", scope.get("query_string") or b""):
        if b"%" not in part and part.isascii():
            continue
        try:
            text = unquote_to_bytes(part).decode("utf-8")
        except UnicodeDecodeError:
            raise bad_request("The address is not valid UTF-8") from None
        if "\x00" in text:
            raise bad_request("A NUL character is not allowed in an address")
