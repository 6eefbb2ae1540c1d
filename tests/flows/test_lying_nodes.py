"""Nodes that lag, forget, answer nonsense or hang: no money moves twice, nothing fails unproven, nobody waits."""

import asyncio
import time
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.flows.test_nonces import assert_mined_once
from tests.support.faulty_rpc import Answer, Delay, Drop, Refuse, Status
from tests.support.instance import Running
from tests.support.odd_node import OddNode
from tests.support.pace import patient
from tests.support.world import ETHER, World, address, until

SEND, RECEIPT, COUNT = "eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_getTransactionCount"


async def test_a_missing_receipt_is_no_proof_of_failure(human: World, node: OddNode) -> None:
    """A node without an index says null for every receipt while the transaction is mined and final."""
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    node.faults[RECEIPT] = Answer(None)
    sent = await agent.submit(wallet, address(), "1", gas_limit=21_000)
    await human.chain.wait_nonce(wallet.address, 1)
    asked = node.count(RECEIPT)
    await until(lambda: _more(node, RECEIPT, asked + 12), 60, "a dozen more passes")
    assert (await agent.get(sent.json()["id"]))["status"] == "broadcast"
    assert (await agent.submit(wallet, address(), "1", gas_limit=21_000)).status_code == 403
    node.faults.clear()
    assert (await agent.mined(sent.json()["id"]))["receipt"]["status"] == "success"


async def test_a_foreign_transaction_with_our_nonce_is_named(human: World, node: OddNode) -> None:
    """The key is used elsewhere too: our transaction fails, with the hash of the one that took its nonce."""
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    assert wallet.private_key is not None
    from eth_account import Account

    node.faults[SEND] = Drop(forward=False)
    sent = await agent.submit(wallet, address(), "1", gas_limit=21_000)
    foreign = Account.sign_transaction(
        {"to": address(), "value": 1, "gas": 21_000, "gasPrice": 10**11, "nonce": 0, "chainId": 31337},
        wallet.private_key,
    ).raw_transaction
    hash_ = await human.chain.rpc("eth_sendRawTransaction", f"0x{foreign.hex().removeprefix('0x')}")
    node.faults.clear()

    async def failed() -> Any:
        shown = await agent.get(sent.json()["id"])
        return shown if shown["status"] == "failed" else None

    shown = await until(failed, 60, "the failure")
    assert hash_ in shown["error_message"]
    # and only now its value is free again
    assert (await agent.submit(wallet, address(), "1", gas_limit=21_000)).status_code == 201


async def test_a_node_without_old_state_is_good_enough(human: World, node: OddNode) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    node.faults["eth_getBlockByNumber"] = Refuse(-32000, "missing trie node")
    node.faults[SEND] = Drop(times=2, forward=False)
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    await agent.mined(sent.json()["id"])
    await assert_mined_once(human, wallet.address, [sent.json()["tx_hash"]])


async def test_a_lagging_node_takes_nothing_back(human: World, node: OddNode) -> None:
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    sent = await agent.submit(wallet, address(), "0.6", gas_limit=21_000)
    await agent.mined(sent.json()["id"])
    await agent.sign(wallet, address(), "0.1", gas_limit=21_000)  # keeps the wallet looked at
    node.faults[COUNT] = Answer("0x0")
    asked = node.count(COUNT)
    await until(lambda: _more(node, COUNT, asked + 6), 60, "some passes")
    shown = await agent.get(sent.json()["id"])
    assert "receipt" in shown
    assert (await agent.give_up(sent.json()["id"])).status_code == 409


NONSENSE = [None, {}, [], "0x", "zz", 7, {"number": None}, "0x" + "f" * 100]


@pytest.mark.parametrize("method", ["eth_blockNumber", COUNT, RECEIPT, "eth_getBlockByNumber"])
async def test_nonsense_stops_nobody(human: World, node: OddNode, running: Running, method: str) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    workers = running.pids("worker")
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    for nonsense in NONSENSE:
        node.faults[method] = Answer(nonsense)
        asked = node.count(method)
        await until(lambda before=asked: _more(node, method, before + 1), 30, f"{method} asked")
    node.faults.clear()
    await agent.mined(sent.json()["id"])
    assert running.pids("worker") == workers


async def test_a_refusal_with_odd_words_is_told_cleanly_and_kept_apart(human: World, node: OddNode) -> None:
    first, second, agent = await human.wallet(), await human.wallet(), await human.agent()
    node.faults[SEND] = Refuse(-32000, "insufficient funds\x00\x1b[31m for you", times=2)
    refused = await agent.submit(first, address(), "0.1", gas_limit=21_000)
    assert refused.status_code == 201
    assert "\x00" not in refused.json()["error_message"]
    node.faults[SEND] = Drop(times=1, forward=False)
    lost = await agent.submit(second, address(), "0.1", gas_limit=21_000)
    for each in (refused, lost):
        await agent.mined(each.json()["id"])


async def test_a_hoard_of_unused_signatures_keeps_nobody_waiting(human: World, node: OddNode) -> None:
    wallet, hoarder, agent = await human.wallet(), await human.agent(), await human.agent()
    for _ in range(7):
        signed = await asyncio.gather(*(hoarder.sign(wallet, address(), "0", gas_limit=21_000) for _ in range(30)))
        assert {each.status_code for each in signed} == {200}
    node.faults[SEND] = Drop(times=2, forward=False)  # twice: the client asks once more on a broken connection
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert sent.json()["status"] == "signed"
    assert (await agent.mined(sent.json()["id"]))["nonce"] == 0


async def test_what_is_committed_is_answered_though_the_chain_hangs(human: World, node: OddNode) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    node.faults[SEND] = Delay(seconds=30)
    began = time.monotonic()
    answers = await asyncio.gather(*(agent.submit(wallet, address(), "0", gas_limit=21_000) for _ in range(8)))
    assert {each.status_code for each in answers} == {201}
    assert time.monotonic() - began < patient(15)
    node.faults.clear()
    await assert_mined_once(human, wallet.address, [each.json()["tx_hash"] for each in answers])


async def test_an_answer_that_was_lost_is_not_simulated_twice(human: World, node: OddNode) -> None:
    wallet, agent = await human.wallet(100 * ETHER), await human.agent()
    node.faults[SEND] = Status(status=502, times=1, forward=True)
    first = await agent.submit(wallet, address(), "60", gas_limit=21_000)
    assert first.json()["status"] == "signed"
    second = await agent.submit(wallet, address(), "30", gas_limit=21_000)
    assert second.status_code == 201, second.text


async def test_a_filler_outbids_what_the_ceiling_let_by_and_what_a_pool_holds(human: World, node: OddNode) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    await human.chain.rpc("evm_setIntervalMining", 3600)
    try:
        sent = await agent.submit(wallet, address(), "1", gas_limit=21_000, gas_price=str(10**17 // 21_000))
        assert sent.json()["status"] == "broadcast", sent.text
        given_up = await agent.give_up(sent.json()["id"])
        assert given_up.status_code == 200, given_up.text
    finally:
        await human.chain.rpc("evm_setIntervalMining", 1)
    await human.chain.wait_nonce(wallet.address, 1)
    (mined,) = await human.chain.transactions_from(wallet.address)
    assert mined["hash"] != sent.json()["tx_hash"]
    assert mined["to"].lower() == wallet.address.lower()

    async def failed() -> bool:
        return (await agent.get(sent.json()["id"]))["status"] == "failed"

    await until(failed, 60, "the failure")


async def test_the_ledger_agrees_with_itself_after_all_this(running: Running) -> None:
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
        await assert_ledger(database)


async def assert_ledger(database: psycopg.AsyncConnection[Any]) -> None:
    """Every budget is the sum of its reservations in the window, and nothing is counted that was released."""
    rows = await database.execute("""
        SELECT b.agent_id, b.window_wei, COALESCE(sum(s.value_wei) FILTER (WHERE s.in_window), 0)
        FROM agent_budgets b LEFT JOIN spend_reservations s USING (agent_id) GROUP BY 1, 2
    """)
    found = await rows.fetchall()
    assert found
    wrong: list[tuple[UUID, int, int]] = [(agent, kept, true) for agent, kept, true in found if kept != true]
    assert wrong == []
    released = await database.execute("SELECT 1 FROM spend_reservations WHERE state = 'released' AND in_window")
    assert await released.fetchone() is None


async def _more(node: OddNode, method: str, count: int) -> bool:
    return node.count(method) >= count
