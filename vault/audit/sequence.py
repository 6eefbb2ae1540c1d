"""The sequencer: gives every committed event its place in its organisation's chain, once, about a second later.

Not at once, because a chain written in the event's own transaction would let only one request of an organisation
write at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from signer.audit_chain import Event, Seal, event_of, seal
from vault.audit.reader import EVENT
from vault.db import Database

BATCH: Final = 1_000
# a round ends after so many batches, and the next one follows within a second
MAX_BATCHES: Final = 100
# any fixed number: names the right to seal; two leaders may meet for a moment
SEQUENCER_LOCK: Final = 7_214_003

# whether there is anything to seal, in SQL
IS_DUE: Final = "EXISTS (SELECT FROM audit_pending)"

_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")
# A pending row whose event is gone stays: it is the proof that there was one, and `verify` reports it.
_TAKE = text(f"""
    SELECT {EVENT},
           (SELECT s.position FROM audit_seals s WHERE s.event_id = e.id) IS NOT NULL AS sealed
    FROM audit_pending p JOIN audit_events e ON e.id = p.event_id
    ORDER BY p.sequence LIMIT :batch
""")  # noqa: S608 - only our own column names
_LAST = text("""
    SELECT org.id AS org_id, last.position, last.event_id, last.prev_event_id, last.integrity_hash
    FROM unnest(CAST(:orgs AS uuid[])) AS org(id) CROSS JOIN LATERAL (
        SELECT * FROM audit_seals WHERE org_id = org.id ORDER BY position DESC LIMIT 1
    ) last
""")
_APPEND = text("""
    INSERT INTO audit_seals (org_id, position, event_id, prev_event_id, integrity_hash)
    SELECT * FROM unnest(CAST(:org_id AS uuid[]), CAST(:position AS bigint[]), CAST(:event_id AS uuid[]),
                         CAST(:prev_event_id AS uuid[]), CAST(:integrity_hash AS text[]))
""")
_DONE = text("DELETE FROM audit_pending WHERE event_id = ANY(:ids)")


@dataclass(frozen=True)
class Batch:
    """What one transaction did: events taken from the queue, and those of them that were sealed."""

    taken: int
    sealed: int


async def seal_pending(database: Database) -> int:
    """Seal what is pending, a batch a transaction; returns how many events were sealed."""
    sealed = 0
    for _ in range(MAX_BATCHES):
        async with database.begin() as connection:
            batch = await _seal_batch(connection)
        sealed += batch.sealed
        if batch.taken < BATCH:
            break
    return sealed


async def _seal_batch(connection: AsyncConnection) -> Batch:
    if not (await connection.execute(_LOCK, {"key": SEQUENCER_LOCK})).scalar_one():
        return Batch(0, 0)
    rows = (await connection.execute(_TAKE, {"batch": BATCH})).mappings().all()
    if not rows:
        return Batch(0, 0)
    # an event has one place, whoever put it into the queue once more
    events = [event_of(dict(row)) for row in rows if not row["sealed"]]
    if events:
        await connection.execute(_APPEND, _columns(events, await _last_seals(connection, events)))
    await connection.execute(_DONE, {"ids": [row["id"] for row in rows]})
    return Batch(len(rows), len(events))


async def _last_seals(connection: AsyncConnection, events: Sequence[Event]) -> dict[UUID, Seal]:
    rows = await connection.execute(_LAST, {"orgs": list({event.org_id for event in events})})
    return {row.org_id: Seal(row.position, row.event_id, row.prev_event_id, row.integrity_hash) for row in rows}


def _columns(events: Sequence[Event], last: dict[UUID, Seal]) -> dict[str, list[Any]]:
    seals: list[Seal] = []
    for event in events:
        last[event.org_id] = seal(event, last.get(event.org_id))
        seals.append(last[event.org_id])
    return {
        "org_id": [event.org_id for event in events],
        "position": [each.position for each in seals],
        "event_id": [each.event_id for each in seals],
        "prev_event_id": [each.prev_event_id for each in seals],
        "integrity_hash": [each.integrity_hash for each in seals],
    }
