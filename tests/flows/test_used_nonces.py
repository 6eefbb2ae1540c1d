"""Nonces that something else uses up: our transaction fails on every endpoint's proof, and on nothing less."""

from typing import Any

import pytest

from tests.support.authorize import authorize
from tests.support.faulty_rpc import Answer, Change, Drop, Fault, Refuse
from tests.support.instance import Running
from tests.support.odd_node import COUNT, RECEIPT, OddNode
from tests.support.world import Agent, Wallet, World, address, until

NODES = 2
SEND = "eth_sendRawTransaction"


async def lost(human: World, agent: Agent, wallet: Wallet, nodes: list[OddNode]) -> dict[str, Any]:
    """A transaction that no node has got."""
    for node in nodes:
        node.faults[SEND] = Drop(forward=False)
    sent = await agent.submit(wallet, address(), "0.6", gas_limit=21_000)
    assert sent.json()["status"] == "signed", sent.text
    return sent.json()


async def failed(agent: Agent, id_: str) -> dict[str, Any]:
    async def ask() -> Any:
        shown = await agent.get(id_)
        return shown if shown["status"] == "failed" else None

    return await until(ask, 120, "the failure")


async def test_a_nonce_used_by_an_authorisation_frees_the_spend_though_nobody_can_be_named(
    running: Running, human: World, nodes: list[OddNode]
) -> None:
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    assert wallet.private_key is not None
    sent = await lost(human, agent, wallet, nodes)
    authorize(running.rpc_url, wallet.private_key, 0)
    await human.chain.wait_nonce(wallet.address, 1)
    assert (await agent.submit(wallet, address(), "0.6", gas_limit=21_000)).status_code == 403
    shown = await failed(agent, sent["id"])
    assert "Nonce 0 was used up in block" in shown["error_message"]
    for node in nodes:
        node.be_sound()
    again = await agent.submit(wallet, address(), "0.6", gas_limit=21_000)
    assert again.status_code == 201, again.text
    assert (await agent.mined(again.json()["id"]))["nonce"] == 1
    # the failed one was not sent to anybody later
    assert [each["hash"] for each in await human.chain.transactions_from(wallet.address)] == [again.json()["tx_hash"]]


WAITING: dict[str, tuple[dict[str, Fault], dict[str, Fault], str]] = {
    "one of two is down": ({}, {"*": Drop(forward=False)}, "2 endpoints"),
    "none has the state": (
        {COUNT: Refuse(-32000, "missing trie node")},
        {COUNT: Refuse(-32000, "missing trie node")},
        "no endpoint has the state",
    ),
}


@pytest.mark.parametrize("name", WAITING)
async def test_until_it_is_proven_it_waits_counts_and_says_why(
    name: str, running: Running, human: World, nodes: list[OddNode]
) -> None:
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    assert wallet.private_key is not None
    sent = await lost(human, agent, wallet, nodes)
    *faults, words = WAITING[name]
    for node, odd in zip(nodes, faults, strict=True):
        for fault in odd.values():
            # the newest state everybody has
            fault.when = lambda params: not isinstance(params, list) or "latest" not in params
        node.mode = odd.get("*")
        node.faults.update({method: fault for method, fault in odd.items() if method != "*"})
    authorize(running.rpc_url, wallet.private_key, 0)

    async def told() -> bool:
        shown = await agent.get(sent["id"])
        assert shown["status"] == "signed"
        return words in shown.get("error_message", "")

    await until(told, 120, "the reason")
    assert (await agent.submit(wallet, address(), "0.6", gas_limit=21_000)).status_code == 403
    for node in nodes:
        node.mode = None
        node.faults = {SEND: Drop(forward=False)}
    await failed(agent, sent["id"])


async def test_a_mined_transaction_without_a_receipt_anywhere_waits_and_is_not_failed(
    human: World, nodes: list[OddNode]
) -> None:
    """Every node has lost its index; one of them shows blocks as empty besides."""
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    for node in nodes:
        node.faults[RECEIPT] = Answer(None)
    sent = await agent.submit(wallet, address(), "0.6", gas_limit=21_000)
    mined = await human.chain.receipt(sent.json()["tx_hash"])

    async def told() -> bool:
        shown = await agent.get(sent.json()["id"])
        assert shown["status"] == "broadcast"
        return "holds the transaction itself" in shown.get("error_message", "")

    await until(told, 120, "the reason")
    assert await human.chain.beyond(int(mined["blockNumber"], 16))
    assert (await agent.submit(wallet, address(), "0.6", gas_limit=21_000)).status_code == 403
    for node in nodes:
        node.be_sound()
    shown = await agent.mined(sent.json()["id"], 120)
    assert shown["receipt"]["status"] == "success"
    assert "error_message" not in shown


async def test_one_endpoints_made_up_receipt_of_a_filler_frees_nothing(human: World, nodes: list[OddNode]) -> None:
    """The first says that the filler is mined; in truth the transaction itself is."""
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    first, second = nodes
    sent = await lost(human, agent, wallet, nodes)
    given_up = await agent.give_up(sent["id"])
    assert given_up.status_code == 200, given_up.text
    raw = (
        await human.http.get(f"{agent.url}/{sent['id']}", params={"include_signed_tx": "true"}, headers=agent.headers)
    ).json()["signed_tx"]
    await human.chain.rpc("eth_sendRawTransaction", raw)
    await human.chain.wait_nonce(wallet.address, 1)
    mined = await human.chain.receipt(sent["tx_hash"])

    def how(item: Any) -> Any:
        receipt = item.get("result")
        if receipt is None:
            # of a transaction that it never saw: the filler's
            asked = next(params[0] for method, params in reversed(first.calls) if method == RECEIPT)
            return item | {"result": mined | {"transactionHash": asked}}
        return item | {"result": None}

    first.faults = {RECEIPT: Change(how=how)}
    second.faults = {}
    asked = first.count(RECEIPT)

    async def passes() -> bool:
        assert (await agent.get(sent["id"]))["status"] != "failed"
        return first.count(RECEIPT) > asked + 6

    await until(passes, 60, "some passes")
    assert (await agent.submit(wallet, address(), "0.6", gas_limit=21_000)).status_code == 403
    for node in nodes:
        node.be_sound()
    assert (await agent.mined(sent["id"], 120))["receipt"]["status"] == "success"
