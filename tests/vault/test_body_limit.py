import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from vault.body_limit import BodyLimit
from vault.errors import Problem


class Application:
    """Notes the body it was given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        assert not message["more_body"]
        self.bodies.append(message["body"])


async def request(
    chunks: list[bytes],
    headers: dict[str, str] | None = None,
    path: bytes = b"/v1",
    query: bytes = b"",
    **limits: Any,
) -> list[bytes]:
    pending = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]

    async def receive() -> Message:
        if pending:
            return pending.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError(message)

    application = Application()
    raw = [(name.encode(), value.encode()) for name, value in (headers or {"transfer-encoding": "chunked"}).items()]
    scope = {"type": "http", "raw_path": path, "query_string": query, "headers": raw}
    await BodyLimit(application, **limits)(scope, receive, send)
    return application.bodies


async def test_a_body_at_the_limit_arrives_whole() -> None:
    assert await request([b"abc", b"de"], limit=5) == [b"abcde"]


async def test_one_byte_more_is_413_however_it_is_sent() -> None:
    with pytest.raises(Problem) as chunked:
        await request([b"abc", b"def"], limit=5)
    with pytest.raises(Problem) as declared:
        await request([], {"content-length": "6"}, limit=5)
    assert chunked.value.status == declared.value.status == 413


async def test_a_body_that_does_not_end_is_408() -> None:
    with pytest.raises(Problem) as refused:
        await request([], {"content-length": "5"}, deadline_s=0.05)
    assert refused.value.status == 408


@pytest.mark.parametrize(
    ("path", "query"), [(b"/v1/%00", b""), (b"/v1", b"a=%00"), (b"/v1/%ff", b""), (b"/v1", b"a=%ed%a0%80")]
)
async def test_bytes_that_are_no_text_are_refused_in_addresses(path: bytes, query: bytes) -> None:
    with pytest.raises(Problem) as refused:
        await request([b""], path=path, query=query)
    assert refused.value.status == 400


async def test_encoded_slashes_and_umlauts_are_fine_in_addresses() -> None:
    assert await request([b"x"], path=b"/v1/secrets/a%2Fb%C3%BC", query=b"to=a%40b.de") == [b"x"]
