"""Read a chain piece by piece, as the verification and the export do; nothing is ever held but one piece."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from signer.audit_chain import Event, Seal, event_of
from vault.audit.chain import Head
from vault.db import Database

BATCH: Final = 1_000
# as many heads are read with a piece: one for every position of it
MAX_UNSEALED: Final = 100
MAX_BEYOND: Final = 20
# the sequencer needs a second; an event that waits this long is not protected by the chain
LATE: Final = timedelta(seconds=60)
BEGINNING, FOREVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

# what Python cannot hold must not stop whoever looks for falsifications
_REPRESENTABLE = "GREATEST(LEAST({}, timestamptz '9999-12-31 UTC'), timestamptz '0002-01-01 UTC')"
EVENT: Final = f"""
    e.id, e.sequence, e.org_id, e.actor_type, e.actor_id, e.action, e.resource_type, e.resource_id, e.details,
    e.ip_address, {_REPRESENTABLE.format("e.created_at")} AS created_at
"""
_HEAD = (
    f"SELECT org_id, position, integrity_hash, kid, signature, {_REPRESENTABLE.format('signed_at')} AS signed_at "  # noqa: S608 - only our own column names
    "FROM audit_heads WHERE org_id = :org"
)
_PIECE = text(f"""
    SELECT s.position, s.event_id, s.prev_event_id, s.integrity_hash, {EVENT}
    FROM audit_seals s LEFT JOIN audit_events e ON e.id = s.event_id
    WHERE s.org_id = :org AND s.position > :after AND s.position <= :upto ORDER BY s.position LIMIT :batch
""")  # noqa: S608 - only our own column names
# In the order of time, which is nearly that of the chain: pieces of both cover each event once. A look-up for each
# event, because NOT EXISTS would be planned as a join that reads every seal there is.
_UNSEALED = text(f"""
    SELECT {EVENT} FROM audit_events e
    WHERE e.org_id = :org AND e.created_at >= :since AND e.created_at <= :until
      AND (e.created_at <= :late OR e.created_at > :soon)
      AND (SELECT s.position FROM audit_seals s WHERE s.event_id = e.id) IS NULL
    ORDER BY e.created_at LIMIT :most
""")  # noqa: S608 - as above
_SEAL = text("""
    SELECT position, event_id, prev_event_id, integrity_hash FROM audit_seals WHERE org_id = :org AND position = :at
""")
_LAST = text("SELECT position FROM audit_seals WHERE org_id = :org ORDER BY position DESC LIMIT 1")
_TIME = text(f"""
    SELECT {_REPRESENTABLE.format("e.created_at")} FROM audit_seals s JOIN audit_events e ON e.id = s.event_id
    WHERE s.org_id = :org AND s.position = :at
""")  # noqa: S608 - as above
_HEADS = text(f"{_HEAD} AND position >= :first AND position <= :upto ORDER BY position LIMIT :most")
_NEWEST_HEAD = text(f"{_HEAD} ORDER BY position DESC LIMIT 1")
_ORPHANS = text("""
    SELECT p.event_id FROM audit_pending p LEFT JOIN audit_events e ON e.id = p.event_id
    WHERE p.org_id = :org AND e.id IS NULL LIMIT :most
""")
_WAITING = text("SELECT count(*) FROM (SELECT 1 FROM audit_pending WHERE org_id = :org LIMIT 100000) waiting")
_NOW = text("SELECT clock_timestamp()")


@dataclass(frozen=True)
class Piece:
    """A stretch of the chain, the heads signed in it, and events of its time that have no seal at all."""

    chain: list[tuple[Seal, Event | None]]
    heads: list[Head]
    unsealed: list[Event]


class Reader:
    """An organisation's chain as the database has it."""

    def __init__(self, database: Database, org_id: UUID) -> None:
        self._database, self._org_id = database, org_id

    async def sealed_to(self) -> int:
        """The last position, 0 for none."""
        return int(await self._value(_LAST) or 0)

    async def seal(self, position: int) -> Seal | None:
        """One seal."""
        rows = await self._rows(_SEAL, at=position)
        return Seal(**rows[0]) if rows else None

    async def newest_head(self) -> Head | None:
        """The newest head that was kept."""
        rows = await self._rows(_NEWEST_HEAD)
        return Head(**rows[0]) if rows else None

    async def heads(self, first: int, upto: int, most: int = BATCH) -> list[Head]:
        """The heads of some positions."""
        return [Head(**row) for row in await self._rows(_HEADS, first=first, upto=upto, most=most)]

    async def orphans(self) -> list[UUID]:
        """Events that wait for their seal and are gone."""
        return [row["event_id"] for row in await self._rows(_ORPHANS, most=MAX_UNSEALED)]

    async def waiting(self) -> int:
        """How many events wait for their seal; counted up to 100,000."""
        return int(await self._value(_WAITING) or 0)

    async def now(self) -> datetime:
        """The database's clock."""
        moment: datetime = await self._value(_NOW)
        return moment

    async def pieces(self, first: int, upto: int, *, to_the_end: bool) -> AsyncIterator[Piece]:
        """From one position to another, in order; at least one piece, however short the chain is."""
        now = await self.now()
        since = await self._value(_TIME, at=first - 1) if first > 1 else None
        after = first - 1
        while True:
            rows = await self._rows(_PIECE, after=after, upto=upto, batch=BATCH)
            ended = len(rows) < BATCH
            chain = [(_seal_of(row), event_of(row) if row["id"] is not None else None) for row in rows]
            times = [event.created_at for _, event in chain if event is not None]
            until = FOREVER if ended and to_the_end else max(times, default=now)
            unsealed = await self._unsealed(since or BEGINNING, until, now)
            heads = await self.heads(after + 1, chain[-1][0].position if chain else after)
            yield Piece(chain, heads, unsealed)
            if ended:
                return
            after = chain[-1][0].position
            since = until if since is None else max(since, until)

    async def _unsealed(self, since: datetime, until: datetime, now: datetime) -> list[Event]:
        waits = {"late": now - LATE, "soon": now + LATE}
        rows = await self._rows(_UNSEALED, since=since, until=until, most=MAX_UNSEALED, **waits)
        return [event_of(row) for row in rows]

    async def _rows(self, statement: Any, **parameters: Any) -> list[dict[str, Any]]:
        async with self._database.statements() as connection:
            rows = await connection.execute(statement, {"org": self._org_id, **parameters})
            return [dict(row) for row in rows.mappings()]

    async def _value(self, statement: Any, **parameters: Any) -> Any:
        async with self._database.statements() as connection:
            parameters = parameters if statement is _NOW else {"org": self._org_id, **parameters}
            return (await connection.execute(statement, parameters)).scalar_one_or_none()


def _seal_of(row: dict[str, Any]) -> Seal:
    return Seal(row["position"], row["event_id"], row["prev_event_id"], row["integrity_hash"])
