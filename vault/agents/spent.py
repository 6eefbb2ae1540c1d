"""What an agent has spent today, from the ledger that the intents engine keeps.

The figure is for people: face value reserved since midnight UTC, without what was released. The rolling limit
itself is decided elsewhere, under the budget lock.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Plain SQL because the table belongs to a package above this one.
_SPENT_TODAY = text("""
    SELECT COALESCE(sum(value_wei), 0) FROM spend_reservations
    WHERE agent_id = :agent_id AND state <> 'released'
      AND reserved_at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
""")


async def spent_today_wei(connection: AsyncConnection, agent_id: UUID) -> int:
    """Wei an agent has reserved or moved since midnight UTC."""
    return int((await connection.execute(_SPENT_TODAY, {"agent_id": agent_id})).scalar_one())
