"""A node that answers oddly, row by row: what it meant is understood, or what it said is told; nothing is guessed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from anvil.accounts import ACCOUNTS
from chains.addresses import parse_address
from chains.transactions import decode_signed
from tests.support.faulty_rpc import Answer, Drop, Refuse
from tests.support.odd_node import (
    ASKED,
    BATCHED,
    ELSEWHERE,
    ESTIMATE,
    FOLLOWED,
    GWEI,
    LATEST,
    PRICED,
    SEND,
    OddNode,
    Row,
    rows,
    with_fields,
)
from tests.support.world import ETHER, Agent, Wallet, World, address

NODES = 2


@pytest.fixture(autouse=True)
def spare(nodes: list[OddNode]) -> OddNode:
    """The second endpoint: silent unless a test lets it speak."""
    nodes[1].mode = Drop(forward=False)
    return nodes[1]


@pytest.fixture
async def wallet(human: World) -> Wallet:
    return await human.wallet()


@pytest.fixture(scope="module")
async def agent(human: World) -> Agent:
    return await human.agent()


@pytest.fixture
async def unsimulated(human: World) -> AsyncIterator[None]:
    for value in ("false", "true"):
        answer = await human.http.put(
            "/v1/admin/settings/intents_api.require_simulation", json={"value": value}, headers=human.headers
        )
        assert answer.status_code == 200, answer.text
        if value == "false":
            yield


@pytest.mark.parametrize("row", rows(ASKED))
async def test_a_submission(row: Row, node: OddNode, agent: Agent, wallet: Wallet) -> None:
    node.be(row)
    answer = await agent.submit(wallet, address(), "0.1", **row.asked)
    assert answer.status_code == row.right, answer.text
    assert node.url not in answer.text
    for words in row.words:
        assert words in (answer.json().get("detail") or answer.json()["error_message"])


@pytest.mark.parametrize("row", rows(ELSEWHERE))
async def test_a_submission_with_a_second_endpoint(
    row: Row, node: OddNode, spare: OddNode, agent: Agent, wallet: Wallet
) -> None:
    node.be(row)
    spare.be_sound()
    sent = await agent.submit(wallet, address(), "0.1")
    assert sent.status_code == 201, sent.text
    assert sent.json()["status"] == "broadcast", sent.text


@pytest.mark.parametrize("row", rows(PRICED))
async def test_a_signature(row: Row, node: OddNode, agent: Agent, wallet: Wallet) -> None:
    node.be(row)
    answer = await agent.sign(wallet, address(), "0.1", **row.asked)
    assert answer.status_code == 200, answer.text
    signed, sender = decode_signed(bytes.fromhex(answer.json()["signed_tx"][2:]))
    assert sender == parse_address(wallet.address)
    assert {name: getattr(signed, name) for name in row.right} == row.right


@pytest.mark.parametrize("name", ["a tip of 4,000 gwei", "a tip of 4,000 gwei, by the gas price"])
async def test_a_tip_beyond_belief_is_asked_of_the_second_endpoint(
    name: str, node: OddNode, spare: OddNode, agent: Agent, wallet: Wallet, human: World
) -> None:
    node.be(PRICED[name])
    spare.be(PRICED["a tip of a thousandth of a gwei"])
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert sent.status_code == 201, sent.text
    await human.chain.wait_nonce(wallet.address, 1)
    (mined,) = await human.chain.transactions_from(wallet.address)
    assert int(mined["maxPriorityFeePerGas"], 16) == GWEI // 1000


@pytest.mark.parametrize("row", rows(FOLLOWED))
async def test_a_transaction_that_is_mined(row: Row, node: OddNode, agent: Agent, wallet: Wallet) -> None:
    node.be(row)
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    shown = (await agent.mined(sent.json()["id"]))["receipt"]
    assert {name: shown.get(name) for name in row.right} == row.right


async def test_an_endpoint_that_takes_few_calls_at_once(node: OddNode, agent: Agent, wallet: Wallet) -> None:
    for batches in (BATCHED["five, told in a list"], BATCHED["none"]):
        node.batches = batches
        sent = await agent.submit(wallet, address(), "0.1")
        assert sent.status_code == 201, sent.text
        assert (await agent.mined(sent.json()["id"]))["receipt"]["status"] == "success"


async def test_a_filler_is_given_what_a_transfer_takes_there(node: OddNode, agent: Agent, wallet: Wallet) -> None:
    node.faults[SEND] = Refuse(-32000, "txpool is full")
    sent = await agent.submit(wallet, address(), "0.1")
    node.faults[ESTIMATE] = Answer(hex(60_000))
    given_up = await agent.give_up(sent.json()["id"])
    assert given_up.status_code == 200, given_up.text
    raws = [bytes.fromhex(params[0][2:]) for method, params in node.calls if method == SEND]
    fillers = [tx for tx, sender in map(decode_signed, raws) if sender == tx.to == parse_address(wallet.address)]
    assert {filler.gas_limit for filler in fillers} == {78_000}


async def test_what_uses_almost_all_that_a_transaction_may_is_mined(
    node: OddNode, agent: Agent, wallet: Wallet, human: World
) -> None:
    """The local chain keeps the bound of EIP-7825 too: with a wei of gas more its pool takes nothing."""
    node.faults[ESTIMATE] = Answer(hex(13_697_170))
    sent = await agent.submit(wallet, address(), "0.1")
    assert sent.json()["status"] == "broadcast", sent.text
    await human.chain.wait_nonce(wallet.address, 1)
    (mined,) = await human.chain.transactions_from(wallet.address)
    assert int(mined["gas"], 16) == 2**24
    with pytest.raises(AssertionError, match=r"(?i)gas.?limit"):
        await human.chain.rpc(
            "eth_sendTransaction", {"from": ACCOUNTS[0].address, "to": address(), "gas": hex(2**24 + 1)}
        )


DATA_100 = "0x" + "11" * 100
NEVER = [
    pytest.param({"gas_limit": 2**24 + 1}, {}, ("16777216", "EIP-7825"), id="above the chain's bound"),
    pytest.param({"gas_limit": 21_000, "data": DATA_100}, {}, ("25000", "EIP-7623"), id="below the floor"),
    pytest.param({"gas_limit": 23_000, "data": DATA_100}, {}, (), id="between intrinsic cost and floor"),
    pytest.param(
        {"gas_limit": 1_500_000},
        {LATEST: with_fields(gasLimit=hex(1_000_000))},
        ("block's gas limit of 1000000",),
        id="above the block's limit",
    ),
    pytest.param({}, {ESTIMATE: Answer(hex(2**24 + 1))}, ("16777217 gas", "16777216"), id="takes more than fits"),
]


@pytest.mark.parametrize("path", ["", "/sign"])
@pytest.mark.parametrize(("asked", "faults", "words"), NEVER)
async def test_gas_that_can_never_do_is_refused_before_anything_is_signed(
    node: OddNode, human: World, wallet: Wallet, path: str, asked: dict[str, Any], faults: Any, words: tuple[str, ...]
) -> None:
    agent = await human.agent()
    node.faults.update(faults)
    body = {"to": address(), "value": "0.1", "chain": "anvil", "signing_key_path": wallet.path} | asked
    answer = await agent.post(path, body)
    assert answer.status_code == 422, answer.text
    for each in words:
        assert each in answer.json()["detail"]
    listed = await agent.http.get(agent.url, headers=agent.headers, params={"include_signed_tx": "true"})
    assert all("signed_tx" not in each for each in listed.json()["transactions"])
    simulated = await agent.post("/simulate", body)
    assert (simulated.status_code, simulated.json()["status"]) == (200, "error")
    if "gas_limit" in asked:
        bundle = await agent.post("/simulate-bundle", {"transactions": [body, body | {"gas_limit": 50_000}]})
        assert [each["status"] for each in bundle.json()["simulations"]] == ["error", "success"]


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize(("asked", "faults", "words"), NEVER)
async def test_gas_that_can_never_do_is_refused_without_a_simulation_too(
    node: OddNode, human: World, wallet: Wallet, asked: dict[str, Any], faults: Any, words: tuple[str, ...]
) -> None:
    agent = await human.agent()
    node.faults.update(faults)
    for call in (agent.submit, agent.sign):
        answer = await call(wallet, address(), "0.1", **asked)
        assert answer.status_code == 422, answer.text
        for each in words:
            assert each in answer.json()["detail"]
    listed = await agent.http.get(agent.url, headers=agent.headers)
    assert listed.json() == {"transactions": []}


@pytest.mark.usefixtures("unsimulated")
async def test_sums_of_the_largest_amounts_have_room(human: World, wallet: Wallet) -> None:
    agent = await human.agent()
    largest = 2**256 - 1
    value = f"{largest // ETHER}.{largest % ETHER:018d}"
    for _ in range(9):
        signed = await agent.sign(wallet, address(), value, gas_limit=21_000)
        assert signed.status_code == 200, signed.text
    shown = await human.http.get(f"/v1/agents/{agent.id}", headers=human.headers)
    assert shown.status_code == 200, shown.text
    spent = shown.json().get("agent", shown.json())["tx_spent_today_eth"]
    assert parse_sum(spent) == 9 * largest


def parse_sum(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * ETHER + int(fraction.ljust(18, "0"))


async def test_a_price_and_a_tip_alone_are_refused(agent: Agent, wallet: Wallet) -> None:
    answer = await agent.sign(wallet, address(), "0.1", gas_price="5", max_priority_fee_per_gas="1")
    assert answer.status_code == 400, answer.text
    assert "gas_price" in answer.json()["detail"]
    assert "max_priority_fee_per_gas" in answer.json()["detail"]
