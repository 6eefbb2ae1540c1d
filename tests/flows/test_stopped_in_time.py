"""A human says stop while a submission is on its way: what was said before the signature counts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from tests.support.faulty_rpc import Delay, FaultyRpc
from tests.support.instance import start_instance
from tests.support.world import Agent, Wallet, World, address, until

Stop = Callable[[World, Agent, Wallet], Awaitable[httpx.Response]]


@pytest.fixture(scope="module")
async def proxy() -> AsyncIterator[FaultyRpc]:
    async with FaultyRpc() as proxy:
        yield proxy


@pytest.fixture(scope="module")
async def human(proxy: FaultyRpc, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    running = await start_instance(tmp_path_factory.mktemp("stop"), {"TALON_RPC_31337": proxy.url})
    proxy.upstream = running.rpc_url
    world = await World.enter(running.base_url, running.rpc_url, running.admin_email, running.admin_password)
    yield world
    await world.close()
    await running.stop()


async def deactivate(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await world.http.patch(f"/v1/agents/{agent.id}", json={"is_active": False}, headers=world.headers)


async def switch_off(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await world.http.patch(
        f"/v1/agents/{agent.id}", json={"intents_api_enabled": False}, headers=world.headers
    )


async def lower_the_limit(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await world.http.patch(f"/v1/agents/{agent.id}", json={"tx_max_value_eth": "0.1"}, headers=world.headers)


async def delete_the_agent(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    return await world.http.delete(f"/v1/agents/{agent.id}", headers=world.headers)


async def delete_the_policy(world: World, agent: Agent, _: Wallet) -> httpx.Response:
    listed = await world.http.get(f"/v1/vaults/{world.vault_id}/policies?limit=200", headers=world.headers)
    (policy,) = [each["id"] for each in listed.json()["policies"] if each["principal_id"] == agent.id]
    return await world.http.delete(f"/v1/vaults/{world.vault_id}/policies/{policy}", headers=world.headers)


async def delete_the_key(world: World, _: Agent, wallet: Wallet) -> httpx.Response:
    return await world.http.delete(f"/v1/vaults/{world.vault_id}/secrets/{wallet.path}", headers=world.headers)


@pytest.mark.parametrize(
    "stop",
    [deactivate, switch_off, lower_the_limit, delete_the_agent, delete_the_policy, delete_the_key],
    ids=lambda stop: stop.__name__,
)
@pytest.mark.parametrize("path", ["", "/sign"], ids=["submit", "sign"])
async def test_stop_counts_at_once(human: World, proxy: FaultyRpc, stop: Stop, path: str) -> None:
    wallet, agent = await human.wallet(), await human.agent(tx_max_value_eth="5")
    proxy.faults["eth_simulateV1"] = Delay(seconds=1.5)
    asked = proxy.count("eth_simulateV1")
    body = {"to": address(), "value": "1", "chain": "anvil", "signing_key_path": wallet.path, "gas_limit": 21_000}
    submission = asyncio.create_task(agent.post(path, body))

    async def simulating() -> bool:
        return proxy.count("eth_simulateV1") > asked

    await until(simulating, 10, "the simulation", every_s=0.02)
    said = await stop(human, agent, wallet)
    assert said.status_code in (200, 204), said.text

    answer = await submission

    assert answer.status_code in (403, 404), answer.text
    proxy.faults.clear()
    assert await human.chain.nonce(wallet.address, "pending") == 0
