"""What proves that a transaction can no longer be mined, against a real chain behind odd endpoints."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account

from anvil import chain as local
from anvil.accounts import ACCOUNTS
from anvil.rpc import call
from chains.addresses import parse_address
from chains.defaults import ANVIL
from chains.errors import RpcUnavailable
from chains.rpc import ChainClient
from intents.head import head
from intents.proof import Claim, Settled, Unproven, Where, prove
from tests.support.authorize import authorize
from tests.support.faulty_rpc import Answer, Change, Drop, Fault, FaultyRpc, Item, Refuse, wrong_chain
from tests.support.odd_node import when_block, with_fields
from tests.support.ports import free_port

COUNT, RECEIPT, BLOCK = "eth_getTransactionCount", "eth_getTransactionReceipt", "eth_getBlockByNumber"
OURS = secrets.token_bytes(32)
CHAIN = replace(ANVIL, confirmations=1)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = free_port()
    process = local.start(local.find_binary(), port, block_time_s=None)
    yield f"http://127.0.0.1:{port}"
    local.stop(process)


@pytest.fixture
async def first(url: str) -> AsyncIterator[FaultyRpc]:
    async with FaultyRpc(url) as node:
        yield node


@pytest.fixture
async def second(url: str) -> AsyncIterator[FaultyRpc]:
    async with FaultyRpc(url) as node:
        yield node


@pytest.fixture(scope="module")
def used(url: str) -> tuple[Claim, int]:
    """Nonce 0 of an account, used up by an authorisation, and in which block; final by now."""
    person = Account.create()
    tx_hash = authorize(url, bytes(person.key), 0)
    call(url, "anvil_mine", hex(8))
    block = int(call(url, "eth_getTransactionReceipt", tx_hash)["blockNumber"], 16)
    return Claim(parse_address(person.address), 0, frozenset({OURS})), block


@asynccontextmanager
async def endpoints(*nodes: FaultyRpc) -> AsyncIterator[ChainClient]:
    client = ChainClient(local.CHAIN_ID, [node.url for node in nodes], timeout_s=10.0)
    try:
        yield client
    finally:
        await client.close()


async def verdict(claim: Claim, *nodes: FaultyRpc, seen: Where | None = None) -> Settled | Unproven:
    async with endpoints(*nodes) as client:
        return await prove(client, CHAIN, claim, seen)


async def test_a_nonce_used_by_an_authorisation_is_proven_and_needs_no_name(
    used: tuple[Claim, int], first: FaultyRpc, second: FaultyRpc
) -> None:
    claim, block = used
    assert await verdict(claim, first) == Settled(block, None)
    assert await verdict(claim, first, second) == Settled(block, None)


def blocks(how: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    """Changes every block that lists transactions."""

    def change(item: Item) -> Item:
        result = item.get("result")
        return item | {"result": how(result)} if isinstance(result, dict) and result["transactions"] else item

    return Change(how=change)


def as_hashes(block: dict[str, Any]) -> dict[str, Any]:
    listed = [each["hash"] if isinstance(each, dict) else each for each in block["transactions"]]
    return block | {"transactions": listed}


def with_ours(block: dict[str, Any]) -> dict[str, Any]:
    return block | {"transactions": [*as_hashes(block)["transactions"], f"0x{OURS.hex()}"]}


def _without_list(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "transactions"}


# what the second of two endpoints does, and whether it still is a proof; else a word of why not
SECOND: dict[str, tuple[dict[str, Fault], str | None]] = {
    "lists hashes only": ({BLOCK: blocks(as_hashes)}, None),
    "has no old state": ({COUNT: Refuse(-32000, "missing trie node")}, None),
    "counts nonsense": ({COUNT: Answer("many")}, None),
    "has no index of receipts": ({RECEIPT: Refuse(-32601, "method not found")}, None),
    "is down": ({"*": Drop(forward=False)}, "2 endpoints"),
    "serves another chain": (wrong_chain(1) | {}, "2 endpoints"),
    "lags behind": ({"eth_blockNumber": Answer("0x1"), BLOCK: Refuse(-32601, "no tag")}, "2 endpoints"),
    "names no newest block": ({"eth_blockNumber": Answer(None)}, "2 endpoints"),
    "is limited when it names the final block": (
        {BLOCK: when_block("finalized", Refuse(-32005, "limit exceeded"))},
        "2 endpoints",
    ),
    "names no final block": ({BLOCK: when_block("finalized", Answer(None))}, "2 endpoints"),
    "never knew of final blocks": ({BLOCK: when_block("finalized", Refuse(-32000, "invalid block tag"))}, None),
    "has no final block yet": (
        {BLOCK: when_block("finalized", Refuse(-32000, "finalized block not found"))},
        "2 endpoints",
    ),
    "counts nothing as used": ({COUNT: Answer("0x0")}, "contradict"),
    "lists our transaction": ({BLOCK: blocks(with_ours)}, "the transaction itself"),
    "has a receipt of ours": ({RECEIPT: Answer({"blockNumber": "0x1"})}, "knows the transaction"),
    "answers receipts with nonsense": ({RECEIPT: Answer({})}, "knows the transaction"),
    "lists nothing": ({BLOCK: blocks(lambda block: block | {"transactions": []})}, "does not show all"),
    "lists a null": ({BLOCK: blocks(lambda block: block | {"transactions": [None]})}, "does not show all"),
    "lists null": ({BLOCK: blocks(lambda block: block | {"transactions": None})}, "does not show all"),
    "lists no list": ({BLOCK: blocks(_without_list)}, "does not show all"),
    "lists something twice": (
        {BLOCK: blocks(lambda block: block | {"transactions": as_hashes(block)["transactions"] * 2})},
        "does not show all",
    ),
    "lists what is no hash": ({BLOCK: blocks(lambda block: block | {"transactions": ["0x12"]})}, "does not show all"),
    "lists another block's": (
        {BLOCK: blocks(lambda block: block | {"hash": "0x" + "33" * 32})},
        "does not show all",
    ),
    "shows another block": (
        {BLOCK: blocks(lambda block: as_hashes(block) | {"hash": "0x" + "33" * 32})},
        "different blocks",
    ),
    "shows another number": ({BLOCK: blocks(lambda block: block | {"number": "0x2"})}, "does not show all"),
}


@pytest.mark.parametrize("name", SECOND)
async def test_every_endpoint_that_answers_has_to_bear_it_out(
    name: str, used: tuple[Claim, int], first: FaultyRpc, second: FaultyRpc
) -> None:
    claim, block = used
    faults, why_not = SECOND[name]
    second.faults.update(faults)
    second.mode = second.faults.pop("*", None)
    for order in ((first, second), (second, first)):
        found = await verdict(claim, *order)
        if why_not is None:
            assert found == Settled(block, None)
        else:
            assert isinstance(found, Unproven)
            assert why_not in found.why


async def test_an_endpoint_that_named_a_final_block_is_held_to_it(
    used: tuple[Claim, int], first: FaultyRpc, second: FaultyRpc
) -> None:
    """It knows of finality: what it does not name now is unknown, and no number of confirmations stands in."""
    claim, block = used
    async with endpoints(first, second) as client:
        assert await prove(client, CHAIN, claim) == Settled(block, None)
        for refusal in (Refuse(-32000, "finalized block not found"), Refuse(-32601, "method not found")):
            second.faults[BLOCK] = when_block("finalized", refusal)
            found = await prove(client, CHAIN, claim)
            assert isinstance(found, Unproven)
            assert "2 endpoints" in found.why
            first.faults[BLOCK] = when_block("finalized", refusal)
            found = await prove(client, CHAIN, claim)
            assert found == Unproven("no endpoint says up to which block the chain is final")
            first.faults.clear()
            assert (await head(client, CHAIN, claim.address)).final_block > 0
            first.faults[BLOCK] = second.faults[BLOCK]
            assert (await head(client, CHAIN, claim.address)).final_block == -1
            first.faults.clear()


async def test_where_no_endpoint_ever_named_a_final_block_confirmations_prove(
    used: tuple[Claim, int], first: FaultyRpc, second: FaultyRpc
) -> None:
    claim, block = used
    for node in (first, second):
        node.faults[BLOCK] = when_block("finalized", Refuse(-32000, "finalized block not found"))
    assert await verdict(claim, first, second) == Settled(block, None)


async def test_without_the_state_of_that_block_nothing_is_proven(
    used: tuple[Claim, int], first: FaultyRpc, second: FaultyRpc
) -> None:
    claim, _ = used
    for odd in (Refuse(-32000, "missing trie node"), Answer(None), Answer("0x7")):
        first.faults[COUNT] = second.faults[COUNT] = odd
        found = await verdict(claim, first, second)
        assert isinstance(found, Unproven)
        assert "no endpoint has the state" in found.why


async def test_what_is_not_final_yet_is_not_proven_and_nothing_is_said(
    used: tuple[Claim, int], first: FaultyRpc
) -> None:
    claim, _ = used
    first.faults[BLOCK] = Refuse(-32601, "no finalized tag")
    async with endpoints(first) as client:
        assert await prove(client, replace(CHAIN, confirmations=10**6), claim) == Unproven("")
    assert await verdict(replace(claim, nonce=5), first) == Unproven("")


async def test_our_own_transaction_is_never_proven_failed(url: str, first: FaultyRpc, second: FaultyRpc) -> None:
    """Mined and final, while no node has a receipt of it: the list of its block holds it."""
    person = Account.create()
    call(url, "anvil_setBalance", person.address, hex(10**18))
    fields = {"chainId": local.CHAIN_ID, "nonce": 0, "gasPrice": 10**11, "gas": 21000, "value": 1}
    raw = person.sign_transaction(fields | {"to": ACCOUNTS[6].address}).raw_transaction
    tx_hash = bytes.fromhex(call(url, "eth_sendRawTransaction", f"0x{raw.hex()}")[2:])
    call(url, "anvil_mine", hex(8))
    claim = Claim(parse_address(person.address), 0, frozenset({tx_hash}))
    for receipts in (None, Answer(None)):
        for node in (first, second):
            node.faults = {} if receipts is None else {RECEIPT: receipts}
        assert isinstance(await verdict(claim, first), Unproven)
        assert isinstance(await verdict(claim, first, second), Unproven)
        # one that lies does not make the others forget it
        second.faults[BLOCK] = blocks(lambda block: block | {"transactions": [f"0x{'44' * 32}"]})
        assert isinstance(await verdict(claim, first, second), Unproven)
    # for somebody else's claim to that nonce it is the name
    first.faults, second.faults = {}, {}
    other = replace(claim, own=frozenset({OURS}))
    named = await verdict(other, first, second)
    assert isinstance(named, Settled)
    assert named.user == tx_hash


async def test_a_winner_that_was_seen_has_to_be_in_the_block_of_every_endpoint(
    url: str, used: tuple[Claim, int], first: FaultyRpc, second: FaultyRpc
) -> None:
    """A filler's receipt is one endpoint's word; with it no historical state is needed."""
    claim, block = used
    listed = call(url, "eth_getBlockByNumber", hex(block), False)
    seen = Where(bytes.fromhex(listed["transactions"][0][2:]), block, bytes.fromhex(listed["hash"][2:]))
    first.faults[COUNT] = second.faults[COUNT] = Refuse(-32000, "missing trie node")
    assert await verdict(claim, first, second, seen=seen) == Settled(block, seen.tx_hash)
    made_up = replace(seen, tx_hash=secrets.token_bytes(32))
    assert isinstance(await verdict(claim, first, second, seen=made_up), Unproven)
    assert isinstance(await verdict(claim, first, seen=replace(seen, block_hash=OURS)), Unproven)
    assert await verdict(claim, first, seen=replace(seen, block_number=10**6)) == Unproven("")
    second.mode = Drop(forward=False)
    assert isinstance(await verdict(claim, first, second, seen=seen), Unproven)


async def test_when_nobody_answers_that_is_an_outage_and_no_verdict(
    used: tuple[Claim, int], first: FaultyRpc, second: FaultyRpc
) -> None:
    first.mode = second.mode = Drop(forward=False)
    with pytest.raises(RpcUnavailable):
        await verdict(used[0], first, second)


async def test_a_status_beside_the_list_changes_nothing(used: tuple[Claim, int], first: FaultyRpc) -> None:
    """Fields that no proof rests on may be missing."""
    claim, block = used
    first.faults[BLOCK] = with_fields(timestamp=None, baseFeePerGas=None, parentHash=None)
    assert await verdict(claim, first) == Settled(block, None)
