"""Receipts that leave something out: what is shown is the chain's word, proven, or left out; nobody else waits."""

import asyncio
from typing import Any

import psycopg
import pytest
from eth_utils import function_signature_to_4byte_selector

from anvil.contracts import deploy
from tests.flows.test_lying_nodes import assert_ledger
from tests.support.faulty_rpc import Answer, Change, Drop, Item
from tests.support.instance import Running
from tests.support.odd_node import PRICE_UNKNOWN, RECEIPT, RECEIPTS, OddNode, Row, rows
from tests.support.world import Agent, Wallet, World, address, until

FAIL = f"0x{function_signature_to_4byte_selector('failWithReason()').hex()}"
LEGACY = {"gas_price": str(3 * 10**9)}


@pytest.fixture(scope="module", autouse=True)
async def unsimulated(human: World) -> None:
    """So that calls which revert come to be signed."""
    answer = await human.http.put(
        "/v1/admin/settings/intents_api.require_simulation", json={"value": "false"}, headers=human.headers
    )
    assert answer.status_code in (200, 204), answer.text


@pytest.fixture(scope="module")
async def reverter(running: Running) -> str:
    return await asyncio.to_thread(deploy, running.rpc_url, "Reverter")


@pytest.fixture(scope="module")
async def agent(human: World) -> Agent:
    return await human.agent()


@pytest.fixture(scope="module")
async def wallet(human: World) -> Wallet:
    return await human.wallet()


async def chains_word(human: World, tx_hash: str) -> dict[str, Any]:
    """The receipt as the chain itself has it."""
    receipt = await human.chain.receipt(tx_hash)
    return {
        "block_number": int(receipt["blockNumber"], 16),
        "block_hash": receipt["blockHash"],
        "gas_used": int(receipt["gasUsed"], 16),
        "effective_gas_price": str(int(receipt["effectiveGasPrice"], 16)),
        "status": "success" if receipt["status"] == "0x1" else "reverted",
    }


@pytest.mark.parametrize("row", rows(RECEIPTS))
async def test_what_is_left_out_is_unknown_or_proven_and_never_a_default(
    row: Row, node: OddNode, human: World, agent: Agent, wallet: Wallet, reverter: str
) -> None:
    node.be(row)
    dynamic, legacy, failing = [
        await agent.submit(wallet, address(), "0.1", gas_limit=21_000),
        await agent.submit(wallet, address(), "0.1", gas_limit=21_000, **LEGACY),
        await agent.submit(wallet, reverter, "0", data=FAIL, gas_limit=100_000),
    ]
    for sent, unknown in (
        (dynamic, set(row.right)),
        (legacy, set(row.right) - set(PRICE_UNKNOWN)),
        (failing, set(row.right)),
    ):
        assert sent.status_code == 201, sent.text
        shown = await agent.mined(sent.json()["id"])
        right = await chains_word(human, sent.json()["tx_hash"])
        assert shown["receipt"].keys() - {"final"} == right.keys() - unknown
        assert {name: shown["receipt"][name] for name in right.keys() - unknown} == {
            name: right[name] for name in right.keys() - unknown
        }
        assert ("error_message" in shown) == (shown["receipt"].get("status") == "reverted")


async def test_a_block_of_a_far_future_does_not_count_the_spend_for_ever(
    node: OddNode, human: World, running: Running
) -> None:
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    node.be(RECEIPTS["a block of next year"])
    sent = await agent.submit(wallet, address(), "0.6", gas_limit=21_000)
    await agent.mined(sent.json()["id"])
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
        rows = await database.execute(
            "SELECT counted_from < now() + interval '1 minute' FROM spend_reservations WHERE transaction_id = %s",
            (sent.json()["id"],),
        )
        assert await rows.fetchall() == [(True,)]


async def test_a_status_that_comes_later_is_taken(node: OddNode, human: World, agent: Agent) -> None:
    wallet = await human.wallet()
    node.be(RECEIPTS["no status, no trace"])
    await human.chain.rpc("evm_setIntervalMining", 3600)
    try:
        sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
        await human.chain.rpc("anvil_mine", hex(1))
        assert "status" not in (await agent.mined(sent.json()["id"]))["receipt"]
        node.be_sound()

        async def told() -> bool:
            shown = (await agent.get(sent.json()["id"]))["receipt"]
            return shown.get("status") == "success" and not shown["final"]

        await until(told, 60, "the status")
    finally:
        await human.chain.rpc("evm_setIntervalMining", 1)


def spoilt(hash_: str, **fields: Any) -> Change:
    """The receipt of one transaction only, with these fields set."""

    def how(item: Item) -> Item:
        result = item.get("result")
        if isinstance(result, dict) and result.get("transactionHash") == hash_:
            return item | {"result": result | fields}
        return item

    return Change(how=how)


@pytest.mark.parametrize(
    "fields",
    [{"blockHash": None}, {"transactionHash": "0x" + "33" * 32}],
    ids=lambda fields: next(iter(fields)),
)
async def test_a_receipt_that_cannot_be_used_holds_up_nobody_else(
    fields: dict[str, Any], node: OddNode, human: World, agent: Agent
) -> None:
    """Others of the wallet and of other wallets are seen mined, and what no node took is sent again meanwhile."""
    first, second = await human.wallet(), await human.wallet()
    odd = await agent.submit(first, address(), "0.1", gas_limit=21_000)
    node.faults[RECEIPT] = spoilt(odd.json()["tx_hash"], **fields)
    await human.chain.wait_nonce(first.address, 1)
    for wallet in (first, second):
        node.faults["eth_sendRawTransaction"] = Drop(times=2, forward=False)
        lost = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
        assert lost.json()["status"] == "signed"
        assert (await agent.mined(lost.json()["id"]))["receipt"]["status"] == "success"
    assert "receipt" not in await agent.get(odd.json()["id"])
    node.be_sound()
    assert (await agent.mined(odd.json()["id"]))["receipt"]["status"] == "success"


@pytest.mark.parametrize("method", [RECEIPT, "eth_getTransactionCount"])
async def test_what_was_not_sent_is_sent_though_nothing_can_be_read(
    method: str, node: OddNode, human: World, agent: Agent
) -> None:
    wallet = await human.wallet()
    before = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    await human.chain.wait_nonce(wallet.address, 1)
    node.faults["eth_sendRawTransaction"] = Drop(times=2, forward=False)
    lost = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert lost.json()["status"] == "signed"
    node.faults[method] = Answer({"not": "an answer"})
    await human.chain.wait_nonce(wallet.address, 2)
    node.be_sound()
    for sent in (before, lost):
        await agent.mined(sent.json()["id"])


async def test_the_ledger_agrees_with_itself_after_all_this(running: Running) -> None:
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
        await assert_ledger(database)
