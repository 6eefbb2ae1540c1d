"""What the signer reads of the audit log, which is not its own, and the heads that it alone may add there."""

import json
from typing import Final
from uuid import UUID

from signer.audit_chain import Event, Seal, moment_of
from signer.link import Link, Row

# what Python cannot hold must not stop whoever looks for falsifications (as in `vault/audit/reader.py`)
_CREATED_AT: Final = (
    "CAST(extract(epoch FROM greatest(least(e.created_at, timestamptz '9999-12-31 UTC'), "
    "timestamptz '0002-01-01 UTC')) * 1000000 AS bigint)"
)
_SEAL: Final = "s.position, s.event_id, s.prev_event_id, s.integrity_hash"
_SEALS: Final = (
    f"SELECT {_SEAL}, e.id, e.sequence, e.org_id, e.actor_type, e.actor_id, e.action, e.resource_type, "  # noqa: S608 - our own column names
    f"e.resource_id, CAST(e.details AS text), e.ip_address, {_CREATED_AT} "
    "FROM public.audit_seals s LEFT JOIN public.audit_events e ON e.id = s.event_id "
    "WHERE s.org_id = $1 AND s.position > CAST($2 AS bigint) ORDER BY s.position LIMIT CAST($3 AS bigint)"
)


class AuditStore:
    """Reads seals with their events; every call is bounded, and trouble with the database is SignerUnavailable."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def seal(self, org_id: UUID, position: int) -> Seal | None:
        """The seal at a position."""
        sql = f"SELECT {_SEAL} FROM public.audit_seals s WHERE s.org_id = $1 AND s.position = CAST($2 AS bigint)"  # noqa: S608
        rows = await self._link.rows(sql, org_id, str(position))
        return _seal(rows[0]) if rows else None

    async def seals(self, org_id: UUID, after: int, limit: int) -> list[tuple[Seal, Event | None]]:
        """The next seals behind a position, and their events as far as they are there."""
        rows = await self._link.rows(_SEALS, org_id, str(after), str(limit))
        return [(_seal(row[:4]), _event(row[4:])) for row in rows]

    async def has_head(self, org_id: UUID, position: int) -> bool:
        """Whether a head is kept for this position."""
        sql = "SELECT 1 FROM public.audit_heads WHERE org_id = $1 AND position = CAST($2 AS bigint)"
        return bool(await self._link.rows(sql, org_id, str(position)))

    async def add_head(
        self, org_id: UUID, position: int, integrity_hash: str, kid: str, signature: bytes, signed_at_us: int
    ) -> None:
        """Keep a signed head; signed once more, it says the same: the first one stays."""
        await self._link.rows(
            "INSERT INTO public.audit_heads (org_id, position, integrity_hash, kid, signature, signed_at) "
            "VALUES ($1, CAST($2 AS bigint), $3, $4, $5, "
            "timestamptz 'epoch' + CAST($6 AS bigint) * interval '1 microsecond') ON CONFLICT DO NOTHING",
            org_id,
            str(position),
            integrity_hash,
            kid,
            signature,
            str(signed_at_us),
        )


def _seal(row: Row) -> Seal:
    position, event_id, prev_event_id, integrity_hash = row
    previous = None if prev_event_id is None else UUID(bytes=prev_event_id)
    return Seal(_int(position), UUID(bytes=event_id), previous, _text(integrity_hash))


def _event(row: Row) -> Event | None:
    if row[0] is None:
        return None
    return Event(
        id=UUID(bytes=row[0]),
        sequence=_int(row[1]),
        org_id=UUID(bytes=row[2]),
        actor_type=_text(row[3]),
        actor_id=_text(row[4]),
        action=_text(row[5]),
        resource_type=_text(row[6]),
        resource_id=_text(row[7]),
        # as the application's driver reads it: the hash depends on it
        details=json.loads(_text(row[8])),
        ip_address=None if row[9] is None else _text(row[9]),
        created_at=moment_of(_int(row[10])),
    )


def _int(column: bytes | None) -> int:
    assert column is not None
    return int.from_bytes(column, "big", signed=True)


def _text(column: bytes | None) -> str:
    assert column is not None
    return column.decode()
