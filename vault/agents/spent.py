"""What agents have spent today, from the ledger that the intents engine keeps.

The figure is for people: face value reserved since midnight UTC, without what was released. The rolling limit
itself is decided elsewhere, under the budget lock.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.ext.asyncio import AsyncConnection

# Plain SQL because the table belongs to a package above this one.
_SPENT_TODAY = text(
    """
    SELECT agent_id, sum(value_wei) AS spent_wei
    FROM spend_reservations
    WHERE agent_id = ANY(:agent_ids)
      AND state <> 'released'
      AND reserved_at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
    GROUP BY agent_id
    """
).bindparams(bindparam("agent_ids", type_=ARRAY(PgUUID(as_uuid=True))))


async def spent_today_wei(connection: AsyncConnection, agent_id: UUID) -> int:
    """Wei one agent has reserved or moved since midnight UTC."""
    return (await spent_today_by_agent(connection, [agent_id])).get(agent_id, 0)


async def spent_today_by_agent(connection: AsyncConnection, agent_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The same for many agents in one statement; agents that moved nothing are left out."""
    rows = await connection.execute(_SPENT_TODAY, {"agent_ids": list(agent_ids)})
    return {row.agent_id: int(row.spent_wei) for row in rows}
