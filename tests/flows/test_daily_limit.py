"""The rolling limit under concurrency and across the 24 h boundary, from the database and the chain."""

import asyncio
from uuid import UUID

import httpx
import psycopg

from tests.support.pace import patient
from tests.support.world import ETHER, World, address, until

MOVE = """
    UPDATE spend_reservations SET reserved_at = reserved_at - interval '24 hours',
           settled_at = settled_at - interval '24 hours'
    WHERE transaction_id = ANY(%s)
"""


async def test_the_clock_that_spend_stops_counting_by_moves_on(
    world: World, database: psycopg.AsyncConnection
) -> None:
    """The worker sees to it, with the rights that it has: without that nothing would ever be over."""

    async def believed() -> tuple:
        found = await database.execute("SELECT believed_at, leash > clock_timestamp(), doubt FROM clock")
        row = await found.fetchone()
        assert row is not None
        return row

    began_at, *_ = await believed()

    async def has_moved() -> bool:
        at, is_ahead, doubt = await believed()
        return at > began_at and is_ahead and doubt is None

    await until(has_moved, 60, "a look at the clock")


async def test_500_concurrent_submissions_against_a_cap_that_admits_37(
    world: World, clients: list, database: psycopg.AsyncConnection
) -> None:
    wallet = await world.wallet()
    agent = await world.agent(tx_daily_limit_eth="3.7")
    to = address()

    async def submit(n: int) -> tuple[int, dict]:
        body = {"to": to, "value": "0.1", "chain": "anvil", "signing_key_path": wallet.path, "gas_limit": 21_000}

        async def decided() -> httpx.Response | None:
            answer = await clients[n % len(clients)].post(
                agent.url, json=body, headers=agent.headers, timeout=patient(120)
            )
            # a queue that a slow machine could not work off in time: nothing was done, so it is asked again
            return None if answer.status_code == 503 else answer

        answer = await until(decided, 300, f"a decision on submission {n}")
        return answer.status_code, answer.json()

    answers = await asyncio.gather(*(submit(n) for n in range(500)))

    passed = [body for status, body in answers if status == 201]
    assert len(passed) == 37, {status for status, _ in answers}
    assert {status for status, _ in answers} == {201, 403}
    denied = next(body for status, body in answers if status == 403)
    assert "3.7" in denied["detail"]
    await world.chain.wait_nonce(wallet.address, 37)
    assert await world.chain.balance(to) == 37 * ETHER // 10
    for body in passed:
        await agent.mined(body["id"])

    # what is moved out of the window frees exactly its own share
    async with database.cursor() as cursor:
        await cursor.execute(MOVE, ([UUID(body["id"]) for body in passed[:10]],))
        assert cursor.rowcount == 10
    again = await asyncio.gather(*(submit(n) for n in range(30)))
    assert sorted(status for status, _ in again) == [201] * 10 + [403] * 20
    await world.chain.wait_nonce(wallet.address, 47)
    assert await world.chain.balance(to) == 47 * ETHER // 10


async def test_a_signature_never_used_counts_however_old_it_is(
    world: World, database: psycopg.AsyncConnection
) -> None:
    wallet = await world.wallet()
    agent = await world.agent(tx_daily_limit_eth="1")
    signed = await agent.sign(wallet, address(), "0.6")
    assert signed.status_code == 200, signed.text
    async with database.cursor() as cursor:
        await cursor.execute(
            "UPDATE spend_reservations SET reserved_at = reserved_at - interval '3 days' WHERE agent_id = %s",
            (UUID(agent.id),),
        )
        assert cursor.rowcount == 1

    over = await agent.submit(wallet, address(), "0.5")
    assert over.status_code == 403, over.text
    within = await agent.submit(wallet, address(), "0.4")
    assert within.status_code == 201, within.text


async def test_a_sign_only_reservation_ends_when_another_transaction_with_its_nonce_is_final(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent(tx_daily_limit_eth="1")
    signed = await agent.sign(wallet, address(), "0.9")
    assert signed.status_code == 200, signed.text
    taken = await agent.submit(wallet, address(), "0.1")
    assert taken.status_code == 201, taken.text
    refused = await agent.submit(wallet, address(), "0.5")
    assert refused.status_code == 403

    for _ in range(120):  # the local chain finalises a block two blocks later
        answer = await agent.submit(wallet, address(), "0.5")
        if answer.status_code == 201:
            break
        await asyncio.sleep(0.5)
    assert answer.status_code == 201, answer.text
    too_much = await agent.submit(wallet, address(), "0.5")
    assert too_much.status_code == 403, too_much.text
