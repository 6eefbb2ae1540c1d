"""One Idempotency-Key, one signature, one mined transaction: under concurrency and across SIGKILL."""

import asyncio
from uuid import UUID, uuid4

import httpx
import psycopg

from tests.flows.test_nonces import assert_mined_once
from tests.support.world import World, address


async def test_100_simultaneous_requests_with_one_key(
    world: World, clients: list, database: psycopg.AsyncConnection
) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    to, key = address(), str(uuid4())
    body = {"to": to, "value": "0.5", "chain": "anvil", "signing_key_path": wallet.path}

    async def submit(n: int) -> httpx.Response:
        return await clients[n % len(clients)].post(
            agent.url, json=body, headers=agent.headers | {"Idempotency-Key": key}
        )

    answers = await asyncio.gather(*(submit(n) for n in range(100)))

    statuses = [answer.status_code for answer in answers]
    assert statuses.count(201) == 1
    assert set(statuses) <= {201, 200, 409}
    first = next(answer.json() for answer in answers if answer.status_code == 201)
    later = await submit(0)
    assert later.status_code == 200
    assert later.json()["tx_hash"] == first["tx_hash"]
    assert later.json()["signed_tx"] == first["signed_tx"]
    assert await signatures(database, agent.id) == 1
    await assert_mined_once(world, wallet.address, [first["tx_hash"]])
    assert await world.chain.balance(to) == 5 * 10**17


async def test_the_key_of_another_transaction_is_refused(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    to, key = address(), str(uuid4())
    first = await agent.submit(wallet, to, "0.5", idempotency_key=key)
    assert first.status_code == 201, first.text

    other = await agent.submit(wallet, to, "0.6", idempotency_key=key)
    assert other.status_code == 422
    assert other.json()["type"] == "idempotency_key_reuse"
    same = await agent.submit(wallet, to.lower(), "0.50", idempotency_key=key, chain="31337")
    assert same.status_code == 200, same.text
    assert same.json()["tx_hash"] == first.json()["tx_hash"]


async def test_a_refusal_before_signing_frees_the_key(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent(tx_max_value_eth="0.1")
    key = str(uuid4())
    denied = await agent.submit(wallet, address(), "0.2", idempotency_key=key)
    assert denied.status_code == 403
    corrected = await agent.submit(wallet, address(), "0.1", idempotency_key=key)
    assert corrected.status_code == 201, corrected.text


async def test_a_failed_simulation_is_cached(world: World) -> None:
    wallet = await world.wallet(wei=10**15)
    agent = await world.agent()
    key, to = str(uuid4()), address()
    first = await agent.submit(wallet, to, "5", idempotency_key=key)
    assert first.status_code == 422, first.text
    assert first.json()["status"] == "simulation_failed"
    await world.chain.fund(wallet.address)
    again = await agent.submit(wallet, to, "5", idempotency_key=key)
    assert again.status_code == 422
    assert again.json()["id"] == first.json()["id"]
    assert await world.chain.nonce(wallet.address) == 0


async def signatures(database: psycopg.AsyncConnection, agent_id: str) -> int:
    """How many signatures the signer itself says it made for an agent (it redeems an approval for each)."""
    async with database.cursor() as cursor:
        await cursor.execute("SELECT count(*) FROM signer.redemptions WHERE agent_id = %s", (UUID(agent_id),))
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
