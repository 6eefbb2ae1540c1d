"""The rolling window against a plain sum over the same rows, under concurrency and at the boundary."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import insert, text

from intents import budget
from intents.models import Transaction
from vault.db import Database


async def make_transaction(database: Database, agent_id: UUID) -> UUID:
    transaction_id = uuid4()
    async with database.begin() as connection:
        await connection.execute(
            insert(Transaction).values(
                id=transaction_id,
                org_id=uuid4(),
                agent_id=agent_id,
                key_id=uuid4(),
                chain="anvil",
                chain_id=31337,
                wallet_address=agent_id.bytes,
                to_address=b"\x01" * 20,
                value_wei=0,
                data=b"",
                status="sign_only",
            )
        )
    return transaction_id


async def reserve(database: Database, agent_id: UUID, value_wei: int, limit_wei: int | None = None) -> UUID | None:
    transaction_id = await make_transaction(database, agent_id)
    async with database.begin() as connection:
        spent = await budget.lock(connection, agent_id)
        if limit_wei is not None and spent + value_wei > limit_wei:
            return None
        await budget.reserve(connection, agent_id, transaction_id, value_wei)
    return transaction_id


async def spent(database: Database, agent_id: UUID) -> int:
    """Locked and unlocked reading must always agree."""
    async with database.begin() as connection:
        unlocked = await budget.read(connection, agent_id)
    async with database.begin() as connection:
        locked = await budget.lock(connection, agent_id)
    assert locked == unlocked
    return locked


async def settle(database: Database, transaction_id: UUID, age: timedelta) -> None:
    """Mined, with reservation and block `age` ago."""
    async with database.begin() as connection:
        await budget.settle(connection, transaction_id, datetime.now(UTC) - age)
        await connection.execute(
            text("UPDATE spend_reservations SET reserved_at = clock_timestamp() - :age WHERE transaction_id = :id"),
            {"age": age, "id": transaction_id},
        )


async def test_open_reservations_count_however_old(database: Database) -> None:
    agent_id = uuid4()
    made = await reserve(database, agent_id, 7)
    async with database.begin() as connection:
        await connection.execute(
            text("UPDATE spend_reservations SET reserved_at = '2020-01-01' WHERE transaction_id = :id"), {"id": made}
        )
    assert await spent(database, agent_id) == 7


async def test_settled_ones_leave_after_24_hours_to_the_second(database: Database) -> None:
    agent_id = uuid4()
    day = timedelta(hours=24)
    inside, outside = await reserve(database, agent_id, 3), await reserve(database, agent_id, 5)
    assert inside is not None
    assert outside is not None
    await settle(database, inside, day - timedelta(seconds=5))
    await settle(database, outside, day + timedelta(seconds=1))
    assert await spent(database, agent_id) == 3


async def test_the_later_of_reservation_and_block_counts(database: Database) -> None:
    agent_id = uuid4()
    made = await reserve(database, agent_id, 3)
    assert made is not None
    async with database.begin() as connection:
        await budget.settle(connection, made, datetime.now(UTC) - timedelta(days=2))
    assert await spent(database, agent_id) == 3


async def test_what_was_stamped_by_a_clock_that_was_ahead_counts_for_a_day_from_when_it_is_right(
    database: Database,
) -> None:
    agent_id, other_id = uuid4(), uuid4()
    ahead, right = await reserve(database, agent_id, 3), await reserve(database, other_id, 5)
    assert ahead is not None
    assert right is not None
    await settle(database, ahead, timedelta(days=-300))
    await settle(database, right, timedelta(minutes=-15))
    async with database.begin() as connection:
        stamped_ahead = await budget.stamped_ahead(connection)
    assert agent_id in stamped_ahead
    assert other_id not in stamped_ahead
    async with database.begin() as connection:
        await budget.restamp(connection, agent_id)
        days = await connection.execute(
            text("SELECT counted_from - statement_timestamp() FROM spend_reservations WHERE agent_id = :id"),
            {"id": agent_id},
        )
        assert abs(days.scalar_one()) < timedelta(seconds=30)
    assert await spent(database, agent_id) == 3


async def test_release_and_reopen_are_exact_and_idempotent(database: Database) -> None:
    agent_id = uuid4()
    made = await reserve(database, agent_id, 9)
    assert made is not None
    await settle(database, made, timedelta(hours=25))
    assert await spent(database, agent_id) == 0
    for _ in range(2):
        async with database.begin() as connection:
            await budget.reopen(connection, agent_id, made)
        assert await spent(database, agent_id) == 9
    for _ in range(2):
        async with database.begin() as connection:
            await budget.release(connection, agent_id, made)
        assert await spent(database, agent_id) == 0
    async with database.begin() as connection:
        await budget.settle(connection, made, datetime.now(UTC))
    assert await spent(database, agent_id) == 0


async def test_a_settled_reservation_is_not_released(database: Database) -> None:
    agent_id = uuid4()
    made = await reserve(database, agent_id, 9)
    assert made is not None
    await settle(database, made, timedelta(hours=1))
    async with database.begin() as connection:
        await budget.release(connection, agent_id, made)
    assert await spent(database, agent_id) == 9


async def test_concurrent_reservations_never_pass_the_limit(database: Database) -> None:
    agent_id = uuid4()
    made = await asyncio.gather(*(reserve(database, agent_id, 10, limit_wei=75) for _ in range(40)))
    assert sum(each is not None for each in made) == 7
    assert await spent(database, agent_id) == 70


async def test_random_histories_equal_a_plain_sum(database: Database) -> None:
    rng = random.Random(5)
    for _ in range(5):
        agent_id = uuid4()
        counted = {}
        for _ in range(25):
            value = rng.randrange(1, 10**21)
            made = await reserve(database, agent_id, value)
            assert made is not None
            counted[made] = value
            what = rng.choice(["open", "settle", "expire", "release", "reorg"])
            if what in ("settle", "expire", "reorg"):
                hours = 25 if what == "expire" else rng.randrange(24)
                await settle(database, made, timedelta(hours=hours))
            if what == "reorg":
                if rng.random() < 0.5:
                    await spent(database, agent_id)
                async with database.begin() as connection:
                    await budget.reopen(connection, agent_id, made)
            if what == "release":
                async with database.begin() as connection:
                    await budget.release(connection, agent_id, made)
            if what in ("expire", "release"):
                counted[made] = 0
            assert await spent(database, agent_id) == sum(counted.values())


async def test_the_lock_reads_only_what_leaves_the_window(database: Database) -> None:
    """The plan behind the total must not touch history: 20,000 settled rows, and the index finds none of them."""
    agent_id, transaction_id = uuid4(), await make_transaction(database, uuid4())
    async with database.begin() as connection:
        await connection.execute(
            text("INSERT INTO agent_budgets (agent_id, window_wei) VALUES (:agent, 20000)"), {"agent": agent_id}
        )
        await connection.execute(
            text("""
                WITH copies AS (
                    INSERT INTO transactions (id, org_id, agent_id, key_id, chain, chain_id, wallet_address,
                                              to_address, value_wei, data, status)
                    SELECT gen_random_uuid(), org_id, :agent, key_id, chain, chain_id, wallet_address, to_address,
                           value_wei, data, status
                    FROM transactions, generate_series(1, 20000) WHERE transactions.id = :id RETURNING id
                )
                INSERT INTO spend_reservations (transaction_id, agent_id, value_wei, state, in_window, settled_at)
                SELECT id, :agent, 1, 'settled', true, clock_timestamp() FROM copies
            """),
            {"agent": agent_id, "id": transaction_id},
        )
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("ANALYZE spend_reservations"))
        explained = await connection.execute(
            text("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + str(budget._EXPIRE)), {"agent_id": agent_id}
        )
        plan = explained.scalar_one()[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 40, plan
    assert await spent(database, agent_id) == 20_000
