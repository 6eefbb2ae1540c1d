"""A human says stop while a submission is on its way: what was said before the signature counts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.support.faulty_rpc import Hold
from tests.support.instance import Running
from tests.support.odd_node import OddNode
from tests.support.people import bearer
from tests.support.world import Agent, Wallet, World, address, until

Stop = Callable[[World, Agent, Wallet], Awaitable[httpx.Response]]


@pytest.fixture(autouse=True)
async def without_rules(human: World) -> AsyncIterator[None]:
    """Each test finds no rules on addresses."""
    yield
    for rule in (await human.http.get("/v1/security/ip-rules", headers=human.headers)).json()["rules"]:
        await human.http.delete(f"/v1/security/ip-rules/{rule['id']}", headers=human.headers)


async def with_token(world: World, agent: Agent) -> Agent:
    """The same agent with a token instead of its key."""
    body = {"agent_id": agent.id, "api_key": agent.key}
    answer = await world.http.post("/v1/auth/agent-token", json=body)
    assert answer.status_code == 200, answer.text
    return replace(agent, key=answer.json()["access_token"])


async def change(world: World, agent: Agent, **fields: object) -> httpx.Response:
    return await world.http.patch(f"/v1/agents/{agent.id}", json=fields, headers=world.headers)


async def deactivate(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await change(world, agent, is_active=False)


async def deactivate_for_a_moment(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    await change(world, agent, is_active=False)
    return await change(world, agent, is_active=True)


async def switch_off(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await change(world, agent, intents_api_enabled=False)


async def lower_the_limit(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await change(world, agent, tx_max_value_eth="0.1")


async def bind_to_another_vault(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    other = await world.post("/v1/vaults", {"name": f"another {uuid4()}", "description": ""})
    return await change(world, agent, vault_ids=[other["id"]])


async def narrow_its_scopes(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await change(world, agent, scopes=["elsewhere/**"])


async def let_it_expire(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await change(world, agent, expires_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())


async def rotate_its_key(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await world.http.post(f"/v1/agents/{agent.id}/rotate-key", headers=world.headers)


async def block_its_address(world: World, _: Agent, __: Wallet) -> httpx.Response:
    rule = {"rule_type": "deny", "cidr": "127.0.0.0/8", "applies_to": "agents"}
    return await world.http.post("/v1/security/ip-rules", json=rule, headers=world.headers)


async def revoke_its_token(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await world.http.delete("/v1/auth/token", headers=agent.headers)


async def delete_the_agent(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await world.http.delete(f"/v1/agents/{agent.id}", headers=world.headers)


async def delete_the_policy(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    listed = await world.http.get(f"/v1/vaults/{world.vault_id}/policies?limit=200", headers=world.headers)
    (policy,) = [each["id"] for each in listed.json()["policies"] if each["principal_id"] == agent.id]
    return await world.http.delete(f"/v1/vaults/{world.vault_id}/policies/{policy}", headers=world.headers)


async def delete_the_key(world: World, _: Agent, wallet: Wallet) -> httpx.Response:
    return await world.http.delete(f"/v1/vaults/{world.vault_id}/secrets/{wallet.path}", headers=world.headers)


OF_THE_VAULT = [switch_off, lower_the_limit, delete_the_agent, delete_the_policy, delete_the_key]
OF_THE_CREDENTIAL = [
    deactivate,
    deactivate_for_a_moment,
    bind_to_another_vault,
    narrow_its_scopes,
    let_it_expire,
    rotate_its_key,
    block_its_address,
    revoke_its_token,
]
STOPS = pytest.mark.parametrize("stop", OF_THE_VAULT + OF_THE_CREDENTIAL, ids=lambda stop: stop.__name__)


async def asked_again(node: OddNode, method: str, before: int) -> None:
    async def asked() -> bool:
        return node.count(method) > before

    await until(asked, what=method, every_s=0.02)


@STOPS
@pytest.mark.parametrize("path", ["", "/sign"], ids=["submit", "sign"])
async def test_stop_counts_at_once(human: World, node: OddNode, stop: Stop, path: str) -> None:
    wallet, agent = await human.wallet(), await human.agent(tx_max_value_eth="5")
    if stop in OF_THE_CREDENTIAL:
        agent = await with_token(human, agent)
    hold = node.faults["eth_simulateV1"] = Hold()
    before = node.count("eth_simulateV1")
    body = {"to": address(), "value": "1", "chain": "anvil", "signing_key_path": wallet.path, "gas_limit": 21_000}
    submission = asyncio.create_task(agent.post(path, body))
    await asked_again(node, "eth_simulateV1", before)
    said = await stop(human, agent, wallet)
    assert said.status_code in (200, 201, 204), said.text
    hold.released.set()

    answer = await submission

    assert answer.status_code in (401, 403, 404), answer.text
    assert await human.chain.nonce(wallet.address, "pending") == 0


@pytest.mark.parametrize("stop", OF_THE_CREDENTIAL, ids=lambda stop: stop.__name__)
async def test_stop_counts_in_the_queue(human: World, running: Running, node: OddNode, stop: Stop) -> None:
    wallet, first = await human.wallet(), await human.agent()
    agents = [await human.agent() for _ in range(2)]
    # one with its token, the other with its key
    agents[0] = await with_token(human, agents[0])
    if stop is revoke_its_token:
        del agents[1]
    assert (await first.submit(wallet, address(), "0")).status_code == 201
    async with (
        await psycopg.AsyncConnection.connect(running.owner_dsn) as locking,
        await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as looking,
    ):
        await locking.execute("SELECT 1 FROM agent_budgets WHERE agent_id = %s FOR UPDATE", (first.id,))
        # it has the wallet's turn and waits for the lock, the others wait for the turn
        ahead = asyncio.create_task(first.submit(wallet, address(), "0"))

        async def behind_the_lock() -> bool:
            found = await looking.execute(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
            )
            return await found.fetchone() is not None

        await until(behind_the_lock, what="a submission behind the lock", every_s=0.02)
        simulated = node.count("eth_simulateV1")
        waiting = [asyncio.create_task(agent.submit(wallet, address(), "0")) for agent in agents]
        # simulated is the last thing before the queue, and further they cannot be
        await asked_again(node, "eth_simulateV1", simulated + len(agents) - 1)
        for agent in agents:
            said = await stop(human, agent, wallet)
            assert said.status_code in (200, 201, 204), said.text
        await locking.rollback()
    answered = [await ahead, *[await each for each in waiting]]
    # the rule on addresses is for all of them; it came before any signature
    expected = [403 if stop is block_its_address else 201]
    assert [answered[0].status_code] == expected, answered[0].text
    for answer in answered[1:]:
        assert answer.status_code in (401, 403), answer.text
    mined = 1 + (expected == [201])
    await human.chain.wait_nonce(wallet.address, mined)
    assert await human.chain.nonce(wallet.address, "pending") == mined


async def freeze(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    body = {"reason": "what it does looks wrong"}
    return await world.http.post(f"/v1/agents/{agent.id}/freeze", json=body, headers=world.headers)


@pytest.mark.parametrize("stop", [delete_the_policy, delete_the_key, freeze], ids=lambda stop: stop.__name__)
@pytest.mark.parametrize("path", ["", "/sign"], ids=["submit", "sign"])
async def test_stop_counts_behind_the_wallets_row(human: World, running: Running, stop: Stop, path: str) -> None:
    """The wallet's row is the last lock that a submission waits for: for another process of ours, seconds long."""
    wallet, agent = await human.wallet(), await human.agent()
    assert (await agent.submit(wallet, address(), "0")).status_code == 201
    body = {"to": address(), "value": "1", "chain": "anvil", "signing_key_path": wallet.path, "gas_limit": 21_000}
    async with (
        await psycopg.AsyncConnection.connect(running.owner_dsn) as locking,
        await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as looking,
    ):
        await locking.execute(
            "SELECT 1 FROM wallets WHERE address = %s FOR UPDATE", (bytes.fromhex(wallet.address[2:]),)
        )
        submission = asyncio.create_task(agent.post(path, body))

        async def behind_the_row() -> bool:
            found = await looking.execute(
                # the worker waits for the row too, but holds no budget
                "SELECT 1 FROM pg_locks waits JOIN pg_locks held USING (pid) WHERE NOT waits.granted"
                " AND waits.locktype IN ('transactionid', 'tuple') AND held.relation = 'agent_budgets'::regclass"
            )
            return await found.fetchone() is not None

        await until(behind_the_row, what="a submission behind the wallet's row", every_s=0.02)
        said = await stop(human, agent, wallet)
        assert said.status_code in (200, 204), said.text
        await locking.rollback()
    answer = await submission
    assert answer.status_code in (403, 404), answer.text
    await human.chain.wait_nonce(wallet.address, 1)
    assert await human.chain.nonce(wallet.address, "pending") == 1


async def test_a_token_that_merely_ran_out_counts(human: World, node: OddNode) -> None:
    wallet, agent = await human.wallet(), await human.agent(token_ttl_seconds=2)
    agent = await with_token(human, agent)
    hold = node.faults["eth_simulateV1"] = Hold()
    before = node.count("eth_simulateV1")
    submission = asyncio.create_task(agent.submit(wallet, address(), "1"))
    await asked_again(node, "eth_simulateV1", before)

    async def ran_out() -> bool:
        return (await human.http.get("/v1/agents/me", headers=agent.headers)).status_code == 401

    await until(ran_out, what="the token's end")
    hold.released.set()
    answer = await submission
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("who", ["person", "agent"])
async def test_giving_up_takes_a_credential_that_counts_still(
    human: World, running: Running, node: OddNode, who: str
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    stuck = await agent.submit(wallet, address(), "1", max_fee_per_gas="1", max_priority_fee_per_gas="1")
    assert stuck.status_code == 201, stuck.text
    if who == "person":
        login = {"email": running.admin_email, "password": running.admin_password}
        session = bearer((await human.http.post("/v1/auth/token", json=login)).json()["access_token"])
    else:
        session = (await with_token(human, agent)).headers
    hold = node.faults["eth_feeHistory"] = Hold()
    before = node.count("eth_feeHistory")
    giving_up = asyncio.create_task(human.http.post(f"{agent.url}/{stuck.json()['id']}/give-up", headers=session))
    await asked_again(node, "eth_feeHistory", before)
    assert (await human.http.delete("/v1/auth/token", headers=session)).status_code == 204
    hold.released.set()

    answer = await giving_up

    assert answer.status_code == 401, answer.text
    async with await psycopg.AsyncConnection.connect(running.owner_dsn) as looking:
        found = await looking.execute("SELECT kind FROM attempts WHERE transaction_id = %s", (stuck.json()["id"],))
        assert await found.fetchall() == [("submit",)]
