import asyncio
from uuid import UUID, uuid4

import orjson
import pytest

from signer.errors import ProtocolError
from signer.protocol import (
    MAX_FRAME_BYTES,
    approval_of,
    approval_to_args,
    bytes_of,
    encode_frame,
    message_of,
    read_frame,
    to_text,
    uuid_of,
)
from tests.support import approvals


def stream(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def test_frames_come_out_as_they_went_in() -> None:
    messages = [{"v": 1, "id": number, "op": "x" * number, "args": {}} for number in (0, 1, 1000)]
    reader = stream(b"".join(encode_frame(message) for message in messages))
    for message in messages:
        body = await read_frame(reader)
        assert body is not None
        assert message_of(body) == message
    assert await read_frame(reader) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"\x00\x00\x00",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x01{",
        b"\x00\x00\x00\x05{}",
        (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff" + b"x" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        await read_frame(stream(data))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"v": 1}',
        b'{"v": 2, "id": 1}',
        b'{"v": "1", "id": 1}',
        b'{"v": 1, "id": "1"}',
        b'{"v": 1, "id": true}',
        b'{"v": 1, "id": 1.0}',
        b'{"v": 1, "id": 99999999999999999999999}',
        b'{"v": 1, "id": NaN}',
        b"\xff\xfe",
        b'{"v": 1, "id": 1, "s": "\xed\xa0\x80"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_refused_without_being_quoted(body: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        message_of(body)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_message_that_is_too_large_is_not_sent() -> None:
    with pytest.raises(ProtocolError):
        encode_frame({"v": 1, "id": 1, "args": {"plaintext": "x" * MAX_FRAME_BYTES}})


@pytest.mark.parametrize("value", [None, 1, "", "A", "AAA", "AA==\n", "A A=", "ä", "__", ["AA=="]])
def test_only_exact_base64_is_bytes(value: object) -> None:
    if value == "":
        assert bytes_of({"x": value}, "x") == b""
        return
    with pytest.raises(ProtocolError):
        bytes_of({"x": value}, "x")
    assert bytes_of({"x": to_text(b"\x00\xff")}, "x") == b"\x00\xff"


@pytest.mark.parametrize("value", [None, 1, "", "x", [], {}, str(UUID(int=1)) + "0"])
def test_only_a_uuid_is_a_uuid(value: object) -> None:
    with pytest.raises(ProtocolError):
        uuid_of({"x": value}, "x")


def test_an_approval_comes_out_as_it_went_in() -> None:
    approval = approvals.approval_of(uuid4(), approvals.some_transaction())
    assert approval_of(orjson.loads(orjson.dumps({"approval": approval_to_args(approval)}))) == approval


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x"},
        {"kind": "anything"},
        {"kind": None},
        {"kind": ["submit"]},
        {"agent_id": None},
        {"key_id": 1},
        {"digest": to_text(b"\x00" * 31)},
        {"digest": "0x" + "00" * 32},
        {"expires_at": "2030-01-01T00:00:00"},
        {"expires_at": 1},
        {"expires_at": "tomorrow"},
    ],
)
def test_a_malformed_approval_is_refused(change: dict[str, object]) -> None:
    args = approval_to_args(approvals.approval_of(uuid4(), approvals.some_transaction()))
    with pytest.raises(ProtocolError):
        approval_of({"approval": {**args, **change}})


@pytest.mark.parametrize("missing", ["id", "kind", "agent_id", "key_id", "digest", "expires_at"])
def test_an_approval_lacks_nothing(missing: str) -> None:
    args = approval_to_args(approvals.approval_of(uuid4(), approvals.some_transaction()))
    del args[missing]
    with pytest.raises(ProtocolError):
        approval_of({"approval": args})
