"""A development chain that begins anew under its old id: Talon's own by itself, any other on the admin's word."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from anvil.chain import find_binary, start
from tests.flows.test_lying_nodes import assert_ledger
from tests.support.faulty_rpc import Answer
from tests.support.instance import Running, start_instance
from tests.support.odd_node import OddNode, when_block
from tests.support.people import bearer, sign_up
from tests.support.ports import free_ports
from tests.support.published import assert_declared
from tests.support.world import ETHER, Agent, Wallet, World, address, until


async def enter(running: Running, rpc_url: str | None = None) -> World:
    return await World.enter(
        running.base_url, rpc_url or running.rpc_url, running.admin_email, running.admin_password
    )


async def accepted(agent: Agent, wallet: Wallet, to: str, value: str = "1") -> Any:
    """A submission that goes through once the new chain is known; until then nothing is signed."""

    async def ask() -> Any:
        answer = await agent.submit(wallet, to, value, gas_limit=21_000)
        assert answer.status_code in (201, 409, 503), answer.text
        return answer.json() if answer.status_code == 201 else None

    return await until(ask, 90, "the new chain to be taken for one")


async def final(agent: Agent, transaction_id: str) -> None:
    async def ask() -> bool:
        return bool((await agent.mined(transaction_id))["receipt"]["final"])

    await until(ask, 60, "finality")


async def known_genesis(running: Running) -> None:
    """Wait until the worker has seen which block the chain began with."""

    async def ask() -> bool:
        async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
            rows = await database.execute("SELECT genesis_hash FROM chains WHERE chain_id = 31337")
            return (await rows.fetchone() or (None,))[0] is not None

    await until(ask, 60, "the first block to be written down")


async def test_the_local_chain_that_was_reset_says_so_itself(tmp_path: Path) -> None:
    running = await start_instance(tmp_path / "home")
    try:
        world = await enter(running)
        wallet, agent, to = await world.wallet(), await world.agent(tx_daily_limit_eth="10"), address()
        for _ in range(3):
            sent = await agent.submit(wallet, to, "1", gas_limit=21_000)
        await final(agent, sent.json()["id"])
        # one that waits for funds, and one that was handed out
        poor, waiting_to = await world.wallet(wei=0), address()
        waiting = await agent.submit(poor, waiting_to, "0", gas_limit=21_000)
        assert waiting.json()["status"] == "signed"
        signed = await agent.sign(wallet, address(), "1", gas_limit=21_000)
        assert signed.json()["nonce"] == 3
        await known_genesis(running)

        await world.chain.rpc("anvil_reset")
        await world.chain.fund(wallet.address)
        await world.chain.fund(poor.address)
        new_to = address()
        again = await accepted(agent, wallet, new_to)
        shown = await agent.mined(again["id"])
        assert shown["nonce"] == 0
        other = await accepted(agent, poor, new_to)
        assert (await agent.mined(other["id"]))["nonce"] == 0
        await final(agent, other["id"])
        # nothing of the old chain was paid again
        assert await world.chain.balance(to) == await world.chain.balance(waiting_to) == 0
        assert await world.chain.balance(new_to) == 2 * ETHER

        async def settled() -> bool:
            return (await agent.get(waiting.json()["id"]))["status"] == "failed"

        # its nonce was used on the new chain by another of ours, which frees its spend
        await until(settled, 60, "the old one's failure")
        old = await agent.get(sent.json()["id"])
        assert (old["status"], old["receipt"]["final"]) == ("broadcast", True)
        # three were paid on the old chain, two here, and the one that was handed out can still be sent
        assert (await agent.submit(wallet, to, "4.5", gas_limit=21_000)).status_code == 403
        assert (await agent.submit(wallet, to, "4", gas_limit=21_000)).status_code == 201
        shown = await world.http.get(f"/v1/wallets/anvil/{wallet.address}", headers=world.headers)
        assert shown.json()["next_nonce"] == 2
        events = await world.http.get("/v1/audit/events?action=chain.reset", headers=world.headers)
        assert len(events.json()["events"]) == 1
        async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
            await assert_ledger(database)

        # a human may free what was handed out for the chain that is gone
        freed = await world.post(f"/v1/wallets/anvil/{wallet.address}/resync", {"free_reset_chain": True}, status=200)
        assert (freed["freed"], freed["freed_wei"]) == (1, str(ETHER))
        assert (await agent.submit(wallet, to, "1", gas_limit=21_000)).status_code == 201
        await world.close()
    finally:
        await running.stop()


async def test_the_local_chain_that_comes_back_is_the_same(tmp_path: Path) -> None:
    """At every start anvil begins anew and then loads its state: its block 0 by number may be any of the starts'."""
    home, environment = tmp_path / "home", {"TALON_ADMIN_PASSWORD": "Correct-horse-7-battery!"}
    hashes = []
    for start_number in range(3):
        running = await start_instance(home, environment)
        running.admin_password = environment["TALON_ADMIN_PASSWORD"]
        try:
            world = await enter(running)
            if start_number == 0:
                wallet, agent = await world.wallet(), await world.agent()
            kept = Agent(agent.id, world.http, agent.key)
            sent = await accepted(kept, wallet, address())
            assert (await kept.mined(sent["id"]))["nonce"] == start_number
            hashes.append(sent["tx_hash"])
            await known_genesis(running)
            mined = await world.chain.transactions_from(wallet.address)
            assert [each["hash"] for each in mined] == hashes
            environment |= {"TALON_PORT": str(running.port), "TALON_ANVIL_PORT": str(running.anvil_port)}
            await world.close()
        finally:
            await running.stop()


class OtherChain:
    """Somebody's own anvil, which keeps nothing when it stops."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self, at: int | None = None) -> None:
        """`at`: the same time (Unix seconds) makes the same first block again."""
        self.process = start(find_binary(), self.port, begins_at=at)

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


@pytest.fixture
def other_chain() -> Iterator[OtherChain]:
    (port,) = free_ports(1)
    chain = OtherChain(port)
    chain.begin()
    yield chain
    chain.end()


@pytest.fixture
async def elsewhere(other_chain: OtherChain, tmp_path: Path) -> AsyncIterator[Running]:
    url = f"http://127.0.0.1:{other_chain.port}"
    running = await start_instance(tmp_path / "home", {"TALON_ANVIL_PORT": "0", "TALON_RPC_31337": url})
    yield running
    await running.stop()


async def test_any_other_chain_is_out_of_use_until_the_admin_says_so(
    elsewhere: Running, other_chain: OtherChain
) -> None:
    world = await enter(elsewhere, f"http://127.0.0.1:{other_chain.port}")
    wallet, agent, to = await world.wallet(), await world.agent(tx_daily_limit_eth="2"), address()
    sent = await agent.submit(wallet, to, "1", gas_limit=21_000)
    await final(agent, sent.json()["id"])
    # and one that waits
    assert (await agent.sign(wallet, address(), "0", gas_limit=21_000)).status_code == 200
    await known_genesis(elsewhere)
    chains = (await world.http.get("/v1/admin/chains", headers=world.headers)).json()["chains"]
    (row,) = [each for each in chains if each["chain_id"] == 31337]
    path = f"/v1/admin/chains/{row['id']}/reset"
    # it was not reset
    early = await world.http.post(path, headers=world.headers)
    assert (early.status_code, early.json()["type"]) == (409, "about:blank"), early.text

    other_chain.end()
    gone = await world.http.post(path, headers=world.headers)
    assert gone.status_code == 503, gone.text
    other_chain.begin()
    await world.chain.fund(wallet.address)

    async def refused() -> bool:
        answer = await agent.submit(wallet, to, "1", gas_limit=21_000)
        assert answer.status_code == 503, answer.text
        return "began with another block" in answer.json()["detail"]

    await until(refused, 60, "the other chain to be told apart")
    async with await psycopg.AsyncConnection.connect(elsewhere.owner_dsn, autocommit=True) as database:
        stranger = await sign_up(world, database)
    for credential in (agent.key, await stranger.log_in()):
        assert (await world.http.post(path, headers=bearer(credential))).status_code == 403
    asked = await world.http.post(path, headers=world.headers)
    assert asked.status_code == 409, asked.text
    assert (asked.json()["type"], asked.json()["final_transactions"]) == ("confirmation_required", 1)
    assert asked.json()["open_transactions"] == 1
    wrong = await world.http.post(f"{path}?confirm=0x{'11' * 32}", headers=world.headers)
    assert (wrong.status_code, wrong.json()["type"]) == (409, "confirmation_required")
    assert "You confirmed" not in assert_declared(asked)["detail"]
    assert f"You confirmed '0x{'11' * 32}'; expected {asked.json()['confirm']}." in assert_declared(wrong)["detail"]
    assert (await agent.submit(wallet, to, "1", gas_limit=21_000)).status_code == 503
    done = await world.http.post(f"{path}?confirm={asked.json()['confirm']}", headers=world.headers)
    assert done.status_code == 200, done.text
    assert done.json() == {
        "chain_id": 31337,
        "genesis_hash": asked.json()["confirm"],
        "transactions": 2,
        "wallets": 1,
    }
    again = await accepted(agent, wallet, to)
    assert (await agent.mined(again["id"]))["nonce"] == 0
    assert await world.chain.balance(to) == ETHER
    # what was paid on the chain before counts its 24 hours
    assert (await agent.submit(wallet, to, "1", gas_limit=21_000)).status_code == 403
    await world.close()


async def test_a_chain_that_begins_anew_with_the_same_block(elsewhere: Running, other_chain: OtherChain) -> None:
    """geth in developer mode always has the same first block: what was final is not known any more."""
    other_chain.end()
    other_chain.begin(at=1_700_000_000)
    world = await enter(elsewhere, f"http://127.0.0.1:{other_chain.port}")
    wallet, agent, to = await world.wallet(), await world.agent(tx_daily_limit_eth="3"), address()
    sent = await agent.submit(wallet, to, "1", gas_limit=21_000)
    await final(agent, sent.json()["id"])
    await known_genesis(elsewhere)
    chains = (await world.http.get("/v1/admin/chains", headers=world.headers)).json()["chains"]
    (row,) = [each for each in chains if each["chain_id"] == 31337]
    path = f"/v1/admin/chains/{row['id']}/reset"
    early = await world.http.post(path, headers=world.headers)
    assert (early.status_code, early.json()["type"]) == (409, "about:blank"), early.text

    other_chain.end()
    other_chain.begin(at=1_700_000_000)
    await world.chain.fund(wallet.address)
    refused = await agent.submit(wallet, to, "1", gas_limit=21_000)
    assert refused.status_code == 503, refused.text
    assert "the chain was reset" in refused.json()["detail"]
    asked = await world.http.post(path, headers=world.headers)
    assert (asked.status_code, asked.json()["final_transactions"]) == (409, 1), asked.text
    confirmed = f"{path}?confirm={asked.json()['confirm']}"
    both = await asyncio.gather(*(world.http.post(confirmed, headers=world.headers) for _ in range(2)))
    assert sorted(each.status_code for each in both) == [200, 409], [each.text for each in both]
    again = await accepted(agent, wallet, to)
    # and it is no reset once more, whoever says so
    assert (await world.http.post(confirmed, headers=world.headers)).status_code == 409
    assert (await agent.mined(again["id"]))["nonce"] == 0
    assert await world.chain.balance(to) == ETHER
    await world.close()


async def test_a_sound_endpoint_is_no_reset_whatever_another_serves(other_chain: OtherChain, tmp_path: Path) -> None:
    """One endpoint begins with another block, one even has another id; the known chain is still served by a third."""
    async with OddNode() as lying, OddNode() as strange:
        url = f"http://127.0.0.1:{other_chain.port}"
        lying.upstream = strange.upstream = url
        urls = f"{lying.url},{strange.url},{url}"
        running = await start_instance(tmp_path / "home", {"TALON_ANVIL_PORT": "0", "TALON_RPC_31337": urls})
        try:
            world = await enter(running, url)
            wallet, agent = await world.wallet(), await world.agent()
            assert (await agent.sign(wallet, address(), "0", gas_limit=21_000)).status_code == 200
            await known_genesis(running)
            chains = (await world.http.get("/v1/admin/chains", headers=world.headers)).json()["chains"]
            (row,) = [each for each in chains if each["chain_id"] == 31337]
            path = f"/v1/admin/chains/{row['id']}/reset"
            first_block = {"number": "0x0", "hash": f"0x{'22' * 32}"}
            lying.faults["eth_getBlockByNumber"] = when_block("0x0", Answer(first_block))
            lying.faults["eth_getBlockByHash"] = Answer(None)
            strange.faults["eth_chainId"] = Answer("0x1")
            strange.faults["eth_getBlockByNumber"] = when_block(
                "0x0", Answer(first_block | {"hash": f"0x{'33' * 32}"})
            )
            for query in ("", f"?confirm=0x{'22' * 32}"):
                refused = await world.http.post(path + query, headers=world.headers)
                assert refused.status_code == 409, refused.text
                assert "still serves the chain that is known" in refused.json()["detail"]
            # once that one is gone, an endpoint of another id has no say, and what waits is asked about
            other_chain.end()
            lying.faults["eth_chainId"] = Answer("0x7a69")
            asked = await world.http.post(path, headers=world.headers)
            assert asked.status_code == 409, asked.text
            assert asked.json()["confirm"] == f"0x{'22' * 32}"
            assert (asked.json()["final_transactions"], asked.json()["open_transactions"]) == (0, 1)
            await world.close()
        finally:
            await running.stop()
