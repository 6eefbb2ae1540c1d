"""One wallet, many senders: every nonce is given out once and none is skipped. Asserted from the chain."""

import asyncio
from functools import partial

from tests.support.world import Agent, World, address, until


async def test_200_submissions_at_once_from_4_clients_on_one_key(world: World, clients: list) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    to = address()
    senders = [Agent(agent.id, client, agent.key) for client in clients]

    answers = await asyncio.gather(
        *(senders[i % len(senders)].submit(wallet, to, "0.001", gas_limit=21_000) for i in range(200))
    )

    assert [answer.status_code for answer in answers] == [201] * 200, [
        a.text for a in answers if a.status_code != 201
    ]
    await assert_mined_once(world, wallet.address, [answer.json()["tx_hash"] for answer in answers])
    assert await world.chain.balance(to) == 200 * 10**15


async def test_two_agents_share_one_key_over_two_api_processes(world: World, clients: list) -> None:
    wallet = await world.wallet()
    agents = [await world.agent(http=clients[i]) for i in (0, 1)]
    to = address()

    answers = await asyncio.gather(*(agents[i % 2].submit(wallet, to, "0.001", gas_limit=21_000) for i in range(200)))

    assert [answer.status_code for answer in answers] == [201] * 200, [
        a.text for a in answers if a.status_code != 201
    ]
    await assert_mined_once(world, wallet.address, [answer.json()["tx_hash"] for answer in answers])
    assert await world.chain.balance(to) == 200 * 10**15


async def test_an_explicit_nonce_is_the_next_one_or_refused(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    to = address()
    first = await agent.submit(wallet, to, nonce=0)
    assert first.status_code == 201, first.text

    skips = await agent.submit(wallet, to, nonce=5)
    assert skips.status_code == 422
    assert "nonce" in skips.json()["detail"].lower()

    await agent.mined(first.json()["id"])
    used = await agent.submit(wallet, to, nonce=0)
    assert used.status_code in (409, 422)  # 422 once the chain's count is seen to have passed it
    assert await world.chain.nonce(wallet.address, "pending") == 1

    second = await agent.submit(wallet, to, nonce=1)
    assert second.status_code == 201, second.text
    await assert_mined_once(world, wallet.address, [first.json()["tx_hash"], second.json()["tx_hash"]])


async def test_an_explicit_nonce_in_flight_is_a_conflict(world: World) -> None:
    wallet = await world.wallet(wei=0)  # nothing can be mined from it, so nonce 0 stays in flight
    agent = await world.agent()
    first = await agent.submit(wallet, address(), nonce=0, gas_limit=21_000)
    assert first.status_code == 201, first.text
    assert first.json()["status"] == "signed"

    again = await agent.submit(wallet, address(), nonce=0, gas_limit=21_000)

    assert again.status_code == 409, again.text


async def assert_mined_once(world: World, sender: str, hashes: list[str]) -> None:
    """The chain holds exactly these transactions of the account, with consecutive nonces from 0."""
    await world.chain.wait_nonce(sender, len(hashes), timeout_s=120)
    # two more blocks: what would be sent a second time, with another nonce, would be there by then
    newest = int(await world.chain.rpc("eth_blockNumber"), 16)
    await until(partial(world.chain.beyond, newest + 1), 30, "two more blocks")
    assert await world.chain.nonce(sender) == await world.chain.nonce(sender, "pending") == len(hashes)
    mined = await world.chain.transactions_from(sender)
    assert sorted(int(each["nonce"], 16) for each in mined) == list(range(len(hashes)))
    assert sorted(each["hash"] for each in mined) == sorted(hashes)
