"""Frames on the signer's socket: a length, then JSON. Version 1; bytes travel as base64.

A request is `{"v": 1, "id": n, "op": name, "args": {…}}`, an answer `{"v": 1, "id": n, "ok": {…}}` or
`{"v": 1, "id": n, "error": code, "detail": text}`. There is no operation that signs a digest somebody else made.
"""

import asyncio
import base64
import binascii
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from guardrails.approval import Approval
from signer.errors import BY_CODE, DigestStands, ProtocolError, SignerError

VERSION: Final = 1
# A secret of 5 MiB as base64, with room for what goes around it
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
HEADER_BYTES: Final = 4
BODY_TIMEOUT_S: Final = 30.0


def encode_frame(message: dict[str, Any]) -> bytes:
    """One frame: four bytes of length, most significant first, then the JSON."""
    body = orjson.dumps(message)
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError("the message is too large")
    return len(body).to_bytes(HEADER_BYTES, "big") + body


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next frame's body, or None at the end of the stream; ProtocolError for anything that is not a frame.

    A frame may be long in coming, but once begun its body has `BODY_TIMEOUT_S`.
    """
    try:
        header = await reader.readexactly(HEADER_BYTES)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise ProtocolError("the stream ends inside a header") from None
        return None
    length = int.from_bytes(header, "big")
    if not 2 <= length <= MAX_FRAME_BYTES:
        raise ProtocolError("a frame of an impossible length")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise ProtocolError("the stream ends inside a frame") from None
    except TimeoutError:
        raise ProtocolError("a frame that does not end") from None


def message_of(body: bytes) -> dict[str, Any]:
    """The message in a frame; ProtocolError unless it is one of this version, with an id."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        # `from None`: the decoder's error quotes what it read
        raise ProtocolError("a frame that is not JSON") from None
    if not isinstance(message, dict) or message.get("v") != VERSION or type(message.get("id")) is not int:
        raise ProtocolError("a frame of another protocol")
    return message


def to_text(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode()


def bytes_of(args: dict[str, Any], name: str) -> bytes:
    """The bytes of an argument; ProtocolError unless it is exact base64."""
    value = args.get(name)
    if not isinstance(value, str):
        raise ProtocolError(f"{name} is missing")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError(f"{name} is not base64") from None


def uuid_of(args: dict[str, Any], name: str) -> UUID:
    """The UUID of an argument."""
    try:
        return UUID(args[name])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise ProtocolError(f"{name} is not a UUID") from None


def approval_to_args(approval: Approval) -> dict[str, Any]:
    """An approval as JSON."""
    return {
        "id": str(approval.id),
        "kind": approval.kind,
        "agent_id": str(approval.agent_id),
        "key_id": str(approval.key_id),
        "digest": to_text(approval.digest),
        "expires_at": approval.expires_at.isoformat(),
        **({} if approval.displaces is None else _displacing(approval.displaces, approval.reason)),
    }


def approval_of(args: dict[str, Any]) -> Approval:
    """The approval in a request; ProtocolError for anything else."""
    raw = args.get("approval")
    if not isinstance(raw, dict):
        raise ProtocolError("approval is missing")
    try:
        return Approval(
            id=uuid_of(raw, "id"),
            kind=raw["kind"],
            agent_id=uuid_of(raw, "agent_id"),
            key_id=uuid_of(raw, "key_id"),
            digest=bytes_of(raw, "digest"),
            expires_at=datetime.fromisoformat(raw["expires_at"]),
            displaces=bytes_of(raw, "displaces") if "displaces" in raw else None,
            reason=raw.get("reason"),
        )
    except (KeyError, ValueError, TypeError):
        raise ProtocolError("approval is malformed") from None


def _displacing(digest: bytes, reason: str | None) -> dict[str, Any]:
    return {"displaces": to_text(digest), "reason": reason}


def error_to_answer(error: SignerError) -> dict[str, Any]:
    """What went wrong, as it crosses the socket."""
    standing = {"digest": to_text(error.digest)} if isinstance(error, DigestStands) else {}
    return {"error": error.code, "detail": str(error), **standing}


def error_of(answer: dict[str, Any]) -> SignerError:
    """The error in an answer."""
    kind, detail = BY_CODE.get(str(answer.get("error")), SignerError), str(answer.get("detail", ""))
    return DigestStands(detail, bytes_of(answer, "digest")) if kind is DigestStands else kind(detail)
