import asyncio
import time
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.pace import patient
from vault import body_limit
from vault.body_limit import BodyLimit


class Exchange:
    """One request to a limited application: the body that arrived, or the status of the refusal."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.status: int | None = None
        self.unread = 0

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        assert not message["more_body"]
        self.body = message["body"]

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]


async def request(
    chunks: list[bytes],
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    path: bytes = b"/v1",
    query: bytes = b"",
    gone: bool = False,
    **limits: Any,
) -> Exchange:
    pending: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": gone or number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]
    pending += [{"type": "http.disconnect"}] if gone else []

    async def receive() -> Message:
        if pending:
            return pending.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    exchange = Exchange()
    given = headers or {"transfer-encoding": "chunked"}
    pairs = given.items() if isinstance(given, dict) else given
    raw = [(name.encode(), value.encode()) for name, value in pairs]
    scope = {"type": "http", "raw_path": path, "query_string": query, "headers": raw}
    await BodyLimit(exchange.application, **limits)(scope, receive, exchange.send)
    exchange.unread = len(pending)
    return exchange


async def test_a_body_at_the_limit_arrives_whole() -> None:
    assert (await request([b'"ab', b'c"'], limit=5)).body == b'"abc"'


async def test_one_byte_more_is_413_however_it_is_sent() -> None:
    chunked = await request([b"abc", b"def"], limit=5)
    declared = await request([b"abc", b"def"], {"content-length": "6"}, limit=5)
    assert (chunked.status, declared.status) == (413, 413)
    assert chunked.body is declared.body is None


async def test_a_large_body_is_heard_out_and_a_huge_or_silent_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "DISCARD_DEADLINE_S", 0.05)
    silent = await request([], {"content-length": "6"}, limit=5)
    announced = await request([b"x"], {"content-length": str(10**12)}, limit=5)
    heard_out = await request([b"abcd"] * 3, limit=5)
    endless = await request([b"x" * 1024 * 1024] * 30, limit=5)
    assert [each.status for each in (silent, announced, heard_out, endless)] == [413] * 4
    # the chunks that were left unread
    assert [each.unread for each in (silent, announced, heard_out, endless)] == [0, 1, 0, 9]


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 415), ("br, gzip", 415), ("Identity", None), ("", None)])
async def test_a_compressed_body_is_415(encoding: str, status: int | None) -> None:
    headers = {"transfer-encoding": "chunked", "content-encoding": encoding}
    assert (await request([b"{}"], headers)).status == status


async def test_a_body_that_does_not_end_is_408() -> None:
    assert (await request([], {"content-length": "5"}, deadline_s=0.05)).status == 408


async def test_a_client_that_goes_away_never_reaches_the_application() -> None:
    exchange = await request([b"abc"], gone=True)
    assert exchange.body is None
    assert exchange.status is None


@pytest.mark.parametrize(
    ("path", "query"), [(b"/v1/%00", b""), (b"/v1", b"a=%00"), (b"/v1/%ff", b""), (b"/v1", b"a=%ed%a0%80")]
)
async def test_bytes_that_are_no_text_are_refused_in_addresses(path: bytes, query: bytes) -> None:
    assert (await request([b""], path=path, query=query)).status == 400


async def test_encoded_slashes_and_umlauts_are_fine_in_addresses() -> None:
    assert (await request([b"1"], path=b"/v1/secrets/a%2Fb%C3%BC", query=b"to=a%40b.de")).body == b"1"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a": NaN}', b'{"a": "\xff"}'])
async def test_json_that_would_overflow_the_stack_or_is_none_never_reaches_the_parser(body: bytes) -> None:
    for headers in (
        {"content-type": "application/json", "content-length": "1"},
        {"content-type": "application/merge-patch+JSON", "content-length": "1"},
        {"content-length": "1"},
        [("content-type", "application/json"), ("content-type", "text/plain"), ("content-length", "1")],
    ):
        exchange = await request([body], headers)
        assert exchange.status == 400
        assert exchange.body is None


@pytest.mark.parametrize(
    ("body", "passes"),
    [
        (b"[" + b",".join([b"[]"] * 9_000) + b"]", True),
        (b"[" + b",".join([b'{"a":1}'] * 9_000) + b"]", True),
        # text is one value, whatever it is made of
        (b'{"a": "' + b',[{\\"\\\\' * 500_000 + b'"}', True),
        (b"[" + b",".join([b"[]"] * 1_500_000) + b"]", False),
        (b"[" + b",".join([b"1"] * 2_000_000) + b"]", False),
        (b'["' + b'","' * 1_500_000 + b'"]', False),
        (b"[{" + b",".join(b'"%d":0' % i for i in range(400_000)) + b"}]", False),
        (b'"' * 4_000_000 + b"," * 50_000, False),
        (b'"' + b"\\" * 4_000_000 + b"," * 50_000, False),
    ],
)
async def test_values_are_bounded_before_they_are_parsed(body: bytes, passes: bool) -> None:
    began = time.process_time()
    exchange = await request([body], {"content-type": "application/json", "content-length": "1"})
    assert (exchange.status, exchange.body) == ((None, body) if passes else (400, None))
    # parsing the refused ones takes seconds
    assert time.process_time() - began < patient(0.5)


async def test_a_body_that_does_not_say_it_is_json_is_not_read_as_json() -> None:
    exchange = await request([b"["], {"content-type": "text/plain", "content-length": "1"})
    assert exchange.body == b"["


@pytest.mark.parametrize(
    ("body", "passes"),
    [
        (b'{"to": "a", "value": "1"}', True),
        (b'[{"to": "a"}, {"to": "a"}]', True),
        (b'{"to": {"to": "a"}}', True),
        (b'{"to": "a", "to": "b"}', False),
        (b'{"to": "a", "\\u0074o": "a"}', False),
        (b'[1, {"deep": [{"x": 1, "y": 2, "x": 1}]}]', False),
        (b"1" * 5000, False),
    ],
)
async def test_a_key_twice_is_refused(body: bytes, passes: bool) -> None:
    exchange = await request([body], {"content-length": str(len(body)), "content-type": "application/json"})
    assert exchange.status == (None if passes else 400)
