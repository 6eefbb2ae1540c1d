"""GET /v1/audit/export: a part of the chain as JSON lines, for an auditor who trusts nobody's server.

Lines, in this order: `export`, then piece by piece `event` (sealed), `seal` (whose event is gone), `unsealed` and
`head`, then `record` (what the signer says it signed last), `key`, `end`. Read by `vault.audit.verifier`; described
in docs/audit.md.
"""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from signer.audit_chain import Event, Seal
from signer.errors import AuditHeadRefused
from vault.audit.chain import Head
from vault.audit.heads import sign_head
from vault.audit.reader import MAX_BEYOND, Piece, Reader
from vault.audit.verify import shown
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.schemas import format_time

FORMAT = 1


async def begin_export(context: Context, caller: Caller, first: int, limit: int) -> AsyncIterator[bytes]:
    """Write the event of the export and have the head signed; the lines come as they are asked for."""
    async with context.database.begin() as transaction:
        await write_for(transaction, caller, "audit.export", "audit", caller.org_id, from_position=first, limit=limit)
    reader = Reader(context.database, caller.org_id)
    keys, recorded = await context.signer.audit_keys(), await context.signer.audit_head(caller.org_id)
    newest = await reader.newest_head()
    sealed_to = await reader.sealed_to()
    upto = min(first + limit - 1, sealed_to)
    last = await reader.seal(sealed_to)
    if last is not None and last.position > (newest.position if newest else 0):
        # refused, the record below shows why
        with suppress(AuditHeadRefused):
            await sign_head(context.signer, caller.org_id)
        newest = await reader.newest_head()
    closing: list[dict[str, Any]] = []
    if recorded is not None:
        closing.append({"type": "record", **vars(recorded)})
    for key in keys:
        public_key = base64.b64encode(key.public_key).decode()
        closing.append({"type": "key", "kid": key.kid, "public_key_base64": public_key, "retired": key.retired})
    return _lines(reader, caller, first, upto, sealed_to, newest, closing)


async def _lines(
    reader: Reader,
    caller: Caller,
    first: int,
    upto: int,
    sealed_to: int,
    newest: Head | None,
    closing: list[dict[str, Any]],
) -> AsyncIterator[bytes]:
    ends = upto == sealed_to or first > sealed_to
    before = await reader.seal(first - 1) if first > 1 else None
    yield _line(
        {
            "type": "export",
            "format": FORMAT,
            "org_id": caller.org_id,
            "exported_at": format_time(await reader.now()),
            "from_position": first,
            "previous": None if before is None else _seal(before),
        }
    )
    async for piece in reader.pieces(first, upto, to_the_end=ends):
        yield b"".join(_line(each) for each in _piece(piece))
    beyond = [] if newest is None else await reader.heads(upto + 1, newest.position, MAX_BEYOND)
    if newest is not None and newest.position > upto and newest not in beyond:
        beyond.append(newest)
    yield b"".join(_line({"type": "head", **shown(head).model_dump(mode="json")}) for head in beyond)
    yield b"".join(_line(each) for each in closing)
    yield _line({"type": "end", "to_position": upto, "next_position": None if ends else upto + 1})


def _piece(piece: Piece) -> list[dict[str, Any]]:
    lines = [
        {"type": "seal", **_seal(seal)} if event is None else {"type": "event", **_event(event), **_seal(seal)}
        for seal, event in piece.chain
    ]
    lines += [{"type": "unsealed", **_event(event)} for event in piece.unsealed]
    lines += [{"type": "head", **shown(head).model_dump(mode="json")} for head in piece.heads]
    return lines


def _event(event: Event) -> dict[str, Any]:
    return {**vars(event), "created_at": format_time(event.created_at)}


def _seal(seal: Seal) -> dict[str, Any]:
    return vars(seal)


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), default=str).encode() + b"\n"
