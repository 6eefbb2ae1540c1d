"""Claims: one holder at a time, taken over only when the lease is over, never two completions."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text

from intents import idempotency
from intents.idempotency import Claim, Replay
from vault.db import Database
from vault.errors import Problem

DRAFT, OTHER = b"\x01" * 32, b"\x02" * 32


async def expire(database: Database, claim: Claim) -> None:
    async with database.begin() as connection:
        await connection.execute(
            text("UPDATE idempotency_keys SET lease_until = '2020-01-01' WHERE fence = :fence"),
            {"fence": claim.fence},
        )


async def status_of(awaitable: object) -> int:
    with pytest.raises(Problem) as caught:
        await awaitable  # type: ignore[misc]  # any of the coroutines under test
    return caught.value.status


async def test_one_of_many_simultaneous_claims_wins(database: Database) -> None:
    agent_id = uuid4()

    async def attempt() -> object:
        try:
            return await idempotency.claim(database, agent_id, "k", DRAFT)
        except Problem as problem:
            return problem.status

    outcomes = await asyncio.gather(*(attempt() for _ in range(30)))
    assert sum(isinstance(each, Claim) for each in outcomes) == 1
    assert sum(each == 409 for each in outcomes) == 29


async def test_completed_is_replayed_and_another_draft_refused(database: Database) -> None:
    agent_id, transaction_id = uuid4(), uuid4()
    mine = await idempotency.claim(database, agent_id, "k", DRAFT)
    assert isinstance(mine, Claim)
    assert await status_of(idempotency.claim(database, agent_id, "k", OTHER)) == 422
    async with database.begin() as connection:
        await idempotency.hold(connection, mine)
        await idempotency.complete(connection, mine, transaction_id)
    assert await idempotency.claim(database, agent_id, "k", DRAFT) == Replay(transaction_id)
    assert await status_of(idempotency.claim(database, agent_id, "k", OTHER)) == 422
    assert isinstance(await idempotency.claim(database, uuid4(), "k", OTHER), Claim)


async def test_a_released_key_is_free_for_another_draft(database: Database) -> None:
    agent_id = uuid4()
    mine = await idempotency.claim(database, agent_id, "k", DRAFT)
    assert isinstance(mine, Claim)
    await idempotency.release(database, mine)
    assert isinstance(await idempotency.claim(database, agent_id, "k", OTHER), Claim)


async def test_after_the_lease_a_second_holder_takes_over_and_the_first_gives_way(database: Database) -> None:
    agent_id = uuid4()
    first = await idempotency.claim(database, agent_id, "k", DRAFT)
    assert isinstance(first, Claim)
    await expire(database, first)
    second = await idempotency.claim(database, agent_id, "k", DRAFT)
    assert isinstance(second, Claim)
    async with database.begin() as connection:
        assert await status_of(idempotency.hold(connection, first)) == 409
    async with database.begin() as connection:
        assert await status_of(idempotency.complete(connection, first, uuid4())) == 409
    await idempotency.release(database, first)  # must not free what is no longer ours
    transaction_id = uuid4()
    async with database.begin() as connection:
        await idempotency.hold(connection, second)
        await idempotency.complete(connection, second, transaction_id)
    assert await idempotency.claim(database, agent_id, "k", DRAFT) == Replay(transaction_id)


async def test_no_takeover_while_the_first_holder_signs(database: Database) -> None:
    """The claim is locked from before the signature to the commit: a takeover waits, and then finds it completed."""
    agent_id, transaction_id = uuid4(), uuid4()
    first = await idempotency.claim(database, agent_id, "k", DRAFT)
    assert isinstance(first, Claim)
    await expire(database, first)
    async with database.begin() as connection:
        await idempotency.hold(connection, first)
        rival = asyncio.create_task(idempotency.claim(database, agent_id, "k", DRAFT))
        done, _ = await asyncio.wait([rival], timeout=0.5)
        assert not done
        await idempotency.complete(connection, first, transaction_id)
    assert await rival == Replay(transaction_id)


async def test_sweep_keeps_young_keys_and_unsettled_intents(database: Database) -> None:
    agent_id = uuid4()
    for key in ("young", "old"):
        assert isinstance(await idempotency.claim(database, agent_id, key, DRAFT), Claim)
    async with database.begin() as connection:
        await connection.execute(
            text("""
                UPDATE idempotency_keys SET created_at = clock_timestamp() - interval '25 hours',
                       lease_until = '2020-01-01'
                WHERE agent_id = :agent_id AND key_hash = sha256('old')
            """),
            {"agent_id": agent_id},
        )
    assert await idempotency.sweep(database) >= 1
    assert await status_of(idempotency.claim(database, agent_id, "young", DRAFT)) == 409
    assert isinstance(await idempotency.claim(database, agent_id, "old", OTHER), Claim)
