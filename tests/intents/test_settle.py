"""What a block decides, while a human frees the same spend."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import text

from intents import budget, settle
from intents.answers import Receipt
from tests.intents.test_budget import reserve, spent
from tests.support.world import until
from vault.db import Database

WAITING = text("SELECT 1 FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
FREE = text("UPDATE spend_reservations SET state = 'released', in_window = false WHERE transaction_id = :id")
UNCOUNT = text("UPDATE agent_budgets SET window_wei = window_wei - 7 WHERE agent_id = :agent_id")


async def test_what_is_freed_at_the_moment_of_its_block_counts(database: Database) -> None:
    agent_id = uuid4()
    transaction_id = await reserve(database, agent_id, 7)
    assert transaction_id is not None
    receipt = Receipt(b"\x11" * 32, 7, b"\x22" * 32, 21_000, 1, True)
    async with database.begin() as human:
        await budget.lock(human, agent_id)
        mined = asyncio.create_task(settle.mined(database, agent_id, transaction_id, receipt, datetime.now(UTC)))

        async def waits() -> bool:
            async with database.statements() as other:
                return (await other.execute(WAITING)).first() is not None

        # freed in the middle of it, and committed only when it waits
        await human.execute(FREE, {"id": transaction_id})
        await human.execute(UNCOUNT, {"agent_id": agent_id})
        await until(waits, 30, "the block to wait for the human")
    await mined
    assert await spent(database, agent_id) == 7
    async with database.statements() as connection:
        state = text("SELECT state FROM spend_reservations WHERE transaction_id = :id")
        assert (await connection.execute(state, {"id": transaction_id})).scalar_one() == "settled"
