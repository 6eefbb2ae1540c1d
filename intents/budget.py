"""The rolling 24 h limit: lock, reserve, settle, release. Amounts in wei, the clock is the database's, if believed.

The budget row carries the sum of all reservations that count; what has left the window is subtracted when the
row is locked (and by the worker in between), so that the total costs the same however long the history is. What was
paid before a restore is a table of its own, added to it when it is read (`intents.restored.spend`).
Rows are found by their timestamps at every lock: nothing is cached beside the row itself. The time is the one that is
believed (`vault.clock.now`), read after the lock is held.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from intents.restored.spend import COUNTED as RESTORED
from vault.clock.now import BELIEVED_NOW, LATEST_NOW


def _has_left(counted_from: str) -> str:
    """That a row has left the window by the believed time. Said of the clock too, it tells the planner that few have;
    `clock_timestamp()` is volatile and would keep the index unused."""
    day_ago = "- interval '24 hours'"
    return f"{counted_from} <= statement_timestamp() {day_ago} AND {counted_from} <= {BELIEVED_NOW} {day_ago}"


_READ = text(f"""
    SELECT COALESCE((
        SELECT b.window_wei - COALESCE((
            SELECT sum(s.value_wei) FROM spend_reservations s
            WHERE s.agent_id = b.agent_id AND s.in_window
              AND {_has_left("s.counted_from")}), 0)
        FROM agent_budgets b WHERE b.agent_id = :agent_id), 0) + {RESTORED} AS spent
""")  # noqa: S608 - made of a constant

_LOCK = text("SELECT window_wei FROM agent_budgets WHERE agent_id = :agent_id FOR UPDATE")

_CREATE = text("""
    INSERT INTO agent_budgets (agent_id, window_wei) VALUES (:agent_id, 0) ON CONFLICT DO NOTHING
""")

# a statement of its own after the lock: in READ COMMITTED it then sees what the holder before us committed
_EXPIRE = text(f"""
    WITH gone AS (
        UPDATE spend_reservations SET in_window = false
        WHERE agent_id = :agent_id AND in_window
          AND {_has_left("counted_from")}
        RETURNING value_wei
    ), total AS (SELECT COALESCE(sum(value_wei), 0) AS wei FROM gone)
    UPDATE agent_budgets b SET window_wei = b.window_wei - total.wei
    FROM total WHERE b.agent_id = :agent_id RETURNING b.window_wei + {RESTORED}
""")  # noqa: S608 - made of a constant

_RESERVE = text(f"""
    WITH reserved AS (
        INSERT INTO spend_reservations (transaction_id, agent_id, value_wei, state, in_window, reserved_at)
        VALUES (:transaction_id, :agent_id, :value_wei, 'open', true, {LATEST_NOW})
    )
    UPDATE agent_budgets SET window_wei = window_wei + :value_wei WHERE agent_id = :agent_id
""")  # noqa: S608 - made of a constant

_SETTLE = text(f"""
    UPDATE spend_reservations SET state = 'settled', settled_at = COALESCE(:block_at, {LATEST_NOW})
    WHERE transaction_id = :transaction_id AND state IN ('open', 'settled')
""")  # noqa: S608 - made of a constant

_REOPEN = text("""
    WITH reopened AS (
        UPDATE spend_reservations s SET state = 'open', settled_at = NULL, in_window = true
        FROM (SELECT transaction_id, in_window FROM spend_reservations
              WHERE transaction_id = :transaction_id FOR UPDATE) old
        WHERE s.transaction_id = old.transaction_id AND s.state = 'settled'
        RETURNING s.value_wei, old.in_window AS counted
    )
    UPDATE agent_budgets SET window_wei = window_wei
        + COALESCE((SELECT sum(value_wei) FROM reopened WHERE NOT counted), 0)
    WHERE agent_id = :agent_id
""")

_RELEASE = text("""
    WITH freed AS (
        UPDATE spend_reservations SET state = 'released', in_window = false
        WHERE transaction_id = :transaction_id AND state = 'open' AND in_window
        RETURNING value_wei
    )
    UPDATE agent_budgets SET window_wei = window_wei - COALESCE((SELECT sum(value_wei) FROM freed), 0)
    WHERE agent_id = :agent_id
""")

_RECOUNT = text("""
    WITH again AS (
        UPDATE spend_reservations SET state = 'open', in_window = true
        WHERE transaction_id = :transaction_id AND state = 'released'
        RETURNING value_wei
    )
    UPDATE agent_budgets SET window_wei = window_wei + COALESCE((SELECT sum(value_wei) FROM again), 0)
    WHERE agent_id = :agent_id
""")

_STALE = text(f"""
    SELECT DISTINCT agent_id FROM spend_reservations
    WHERE in_window AND {_has_left("counted_from")} LIMIT 100
""")  # noqa: S608 - made of a constant

# stamped while the clock was ahead, which it is no more: it would count until that time comes again
_AHEAD = f"in_window AND counted_from > {LATEST_NOW} + interval '1 hour'"
_STAMPED_AHEAD = text(f"SELECT DISTINCT agent_id FROM spend_reservations WHERE {_AHEAD} LIMIT 100")  # noqa: S608
_RESTAMP = text(f"""
    UPDATE spend_reservations SET reserved_at = LEAST(reserved_at, {LATEST_NOW}),
           settled_at = LEAST(settled_at, {LATEST_NOW})
    WHERE agent_id = :agent_id AND {_AHEAD}
""")  # noqa: S608 - made of constants


async def read(connection: AsyncConnection, agent_id: UUID) -> int:
    """What counts now, without a lock: good enough for a first decision, never for the last one."""
    spent = (await connection.execute(_READ, {"agent_id": agent_id})).scalar()
    return int(spent or 0)


async def lock(connection: AsyncConnection, agent_id: UUID) -> int:
    """Lock the agent's budget until the transaction ends and return what counts in the window at this moment."""
    named = {"agent_id": agent_id}
    if (await connection.execute(_LOCK, named)).first() is None:
        await connection.execute(_CREATE, named)
        await connection.execute(_LOCK, named)
    return int((await connection.execute(_EXPIRE, named)).scalar_one())


async def reserve(connection: AsyncConnection, agent_id: UUID, transaction_id: UUID, value_wei: int) -> None:
    """Count `value_wei` from now on; the caller holds the lock and has decided on its total."""
    await connection.execute(
        _RESERVE, {"agent_id": agent_id, "transaction_id": transaction_id, "value_wei": value_wei}
    )


async def settle(connection: AsyncConnection, transaction_id: UUID, block_at: datetime | None) -> None:
    """Mined in a block of time `block_at`, None for unknown: it counts for 24 h from then or now, or from when it was
    reserved if that is later."""
    await connection.execute(_SETTLE, {"transaction_id": transaction_id, "block_at": block_at})


async def reopen(connection: AsyncConnection, agent_id: UUID, transaction_id: UUID) -> None:
    """A reorganisation took the block away: the reservation counts without end again."""
    await lock(connection, agent_id)
    await connection.execute(_REOPEN, {"agent_id": agent_id, "transaction_id": transaction_id})


async def release(connection: AsyncConnection, agent_id: UUID, transaction_id: UUID) -> None:
    """Stop counting, on proof that the transaction can no longer be mined."""
    await lock(connection, agent_id)
    await connection.execute(_RELEASE, {"agent_id": agent_id, "transaction_id": transaction_id})


async def recount(connection: AsyncConnection, agent_id: UUID, transaction_id: UUID) -> None:
    """Count without end again what a human freed: it can be mined after all."""
    await lock(connection, agent_id)
    await connection.execute(_RECOUNT, {"agent_id": agent_id, "transaction_id": transaction_id})


async def stale(connection: AsyncConnection) -> list[UUID]:
    """Agents with reservations that have left the window but are not subtracted yet; at most 100."""
    return list((await connection.execute(_STALE)).scalars())


async def stamped_ahead(connection: AsyncConnection) -> list[UUID]:
    """Agents with reservations from a time that is still to come by more than blocks may be; at most 100."""
    return list((await connection.execute(_STAMPED_AHEAD)).scalars())


async def restamp(connection: AsyncConnection, agent_id: UUID) -> None:
    """Count from now on what was counted from a time that is still to come: never less than 24 h from here."""
    await lock(connection, agent_id)
    await connection.execute(_RESTAMP, {"agent_id": agent_id})
