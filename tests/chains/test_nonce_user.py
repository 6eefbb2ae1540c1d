from collections.abc import Callable
from typing import Any

import pytest
from eth_account import Account

from anvil.accounts import ACCOUNTS
from anvil.chain import CHAIN_ID
from anvil.rpc import call
from chains.addresses import parse_address
from chains.errors import RpcUnavailable, WrongChain
from chains.nonce_user import user_of_nonce
from chains.rpc import ChainClient
from chains.units import ETHER
from tests.chains.conftest import Connect
from tests.support.faulty_rpc import Answer, Drop, FaultyRpc, Refuse, wrong_chain

FUNDER = ACCOUNTS[6]
FILLED_BLOCKS = 40

pytestmark = pytest.mark.usefixtures("manual_mining")


class Person:
    """An account that nobody but the test uses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.account = Account.create()
        self.address = parse_address(self.account.address)
        call(url, "anvil_setBalance", self.account.address, hex(ETHER))

    def sends(self, nonce: int, *, to: str = FUNDER.address) -> bytes:
        tx = {"chainId": CHAIN_ID, "nonce": nonce, "gasPrice": 10**11, "gas": 21000, "to": to, "value": nonce}
        raw = self.account.sign_transaction(tx).raw_transaction
        return bytes.fromhex(call(self.url, "eth_sendRawTransaction", f"0x{raw.hex()}")[2:])


def mine(url: str, blocks: int = 1) -> int:
    """The newest block's number after so many more."""
    call(url, "anvil_mine", hex(blocks))
    return int(call(url, "eth_blockNumber"), 16)


async def test_every_nonce_is_found_wherever_it_was_mined(
    faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str
) -> None:
    person = Person(anvil_url)
    sent: list[bytes] = []
    for per_block in (1, 3, 0, 2, 1):
        sent += [person.sends(len(sent) + i) for i in range(per_block)]
        mine(anvil_url)
        newest = mine(anvil_url, FILLED_BLOCKS)
    for nonce, tx_hash in enumerate(sent):
        before = len(faulty.calls)
        assert await user_of_nonce(faulty_client, person.address, nonce, newest) == tx_hash
        assert len(faulty.calls) - before <= 2 * newest.bit_length() + 3
    assert await user_of_nonce(faulty_client, person.address, len(sent), newest) is None


async def test_what_was_used_lately_asks_for_recent_state_only(
    faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str
) -> None:
    person = Person(anvil_url)
    mine(anvil_url, FILLED_BLOCKS)
    tx_hash = person.sends(0)
    newest = mine(anvil_url)
    assert await user_of_nonce(faulty_client, person.address, 0, newest) == tx_hash
    blocks = [int(params[1], 16) for method, params in faulty.calls if method == "eth_getTransactionCount"]
    assert blocks == [newest, newest - 1]


async def test_only_final_blocks_prove_anything(client: ChainClient, anvil_url: str) -> None:
    person = Person(anvil_url)
    tx_hash = person.sends(0)
    before = int(call(anvil_url, "eth_blockNumber"), 16)
    assert await user_of_nonce(client, person.address, 0, before) is None
    newest = mine(anvil_url)
    assert await user_of_nonce(client, person.address, 0, before) is None
    assert await user_of_nonce(client, person.address, 0, newest) == tx_hash


async def test_others_transactions_of_the_same_block_and_nonce_are_not_mistaken(
    client: ChainClient, anvil_url: str
) -> None:
    people = [Person(anvil_url) for _ in range(3)]
    hashes = [person.sends(0, to=people[0].account.address) for person in people]
    newest = mine(anvil_url)
    assert [await user_of_nonce(client, each.address, 0, newest) for each in people] == hashes


async def test_a_nonce_that_no_transaction_used_is_not_proven(client: ChainClient, anvil_url: str) -> None:
    person = Person(anvil_url)
    mine(anvil_url)
    # as an EIP-7702 authorization does: the count goes up without a transaction from the account
    call(anvil_url, "anvil_setNonce", person.account.address, "0x2")
    newest = mine(anvil_url)
    assert [await user_of_nonce(client, person.address, nonce, newest) for nonce in (0, 1, 2)] == [None] * 3


@pytest.mark.parametrize(("nonce", "final_block"), [(-1, 5), (0, -1), (0, 2**31), (2**64, 5)])
async def test_questions_without_sense(client: ChainClient, nonce: int, final_block: int) -> None:
    assert await user_of_nonce(client, parse_address(FUNDER.address), nonce, final_block) is None


async def test_without_historical_state_nothing_is_proven(
    faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str
) -> None:
    person = Person(anvil_url)
    person.sends(0)
    newest = mine(anvil_url)
    for method in ("eth_getTransactionCount", "eth_getBlockByNumber"):
        faulty.faults = {method: Refuse(-32000, "missing trie node")}
        assert await user_of_nonce(faulty_client, person.address, 0, newest) is None


# always used, also in the very first block; no number; used by nobody
@pytest.mark.parametrize("answer", ["0x1", None, {}, 7, "0x", "many", "0x" + "f" * 64, "0x0"])
async def test_odd_counts_prove_nothing(
    faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str, answer: object
) -> None:
    person = Person(anvil_url)
    person.sends(0)
    newest = mine(anvil_url)
    faulty.faults["eth_getTransactionCount"] = Answer(answer)
    assert await user_of_nonce(faulty_client, person.address, 0, newest) is None
    assert faulty.count("eth_getTransactionCount") <= 64


OTHER_HASH = "0x" + "11" * 32


def doubled(block: Any) -> None:
    block["transactions"].append(block["transactions"][0] | {"hash": OTHER_HASH})


SPOILT: list[Callable[[Any], object]] = [
    doubled,
    lambda block: block.update(number="0x1"),
    lambda block: block.update(number=None),
    lambda block: block.update(hash=OTHER_HASH),
    lambda block: block.update(hash=None),
    lambda block: block.update(transactions=None),
    lambda block: block.update(transactions=[]),
    lambda block: block.update(transactions=[each["hash"] for each in block["transactions"]]),
    lambda block: block["transactions"].append(None),
    lambda block: block["transactions"][0].pop("hash"),
    lambda block: block["transactions"][0].update(hash="0x12"),
    lambda block: block["transactions"][0].update(hash="0x" + "zz" * 32),
    lambda block: block["transactions"][0].update({"from": OTHER_HASH[:42]}),
    lambda block: block["transactions"][0].update({"from": None}),
    lambda block: block["transactions"][0].update(nonce="0x1"),
    lambda block: block["transactions"][0].update(nonce=0),
    lambda block: block["transactions"][0].update(blockNumber="0x1"),
    lambda block: block["transactions"][0].update(blockNumber=None),
    lambda block: block["transactions"][0].update(blockHash=OTHER_HASH),
    lambda block: block["transactions"][0].update(blockHash=None),
    # a rollup's message from L1 names a nonce of its own
    lambda block: block["transactions"][0].update(type="0x64"),
    lambda block: block["transactions"][0].update(type=None),
]


@pytest.mark.parametrize("spoil", SPOILT)
async def test_a_block_that_does_not_add_up_proves_nothing(
    faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str, spoil: Callable[[Any], object]
) -> None:
    person = Person(anvil_url)
    tx_hash = person.sends(0)
    newest = mine(anvil_url)
    block = call(anvil_url, "eth_getBlockByNumber", hex(newest), True)
    faulty.faults["eth_getBlockByNumber"] = Answer(block)
    assert await user_of_nonce(faulty_client, person.address, 0, newest) == tx_hash
    spoil(block)
    assert await user_of_nonce(faulty_client, person.address, 0, newest) is None


@pytest.mark.parametrize("answer", [None, [], "0x", 5, {}])
async def test_no_block_proves_nothing(
    faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str, answer: object
) -> None:
    person = Person(anvil_url)
    person.sends(0)
    newest = mine(anvil_url)
    faulty.faults["eth_getBlockByNumber"] = Answer(answer)
    assert await user_of_nonce(faulty_client, person.address, 0, newest) is None


@pytest.mark.parametrize("method", ["eth_getTransactionCount", "eth_getBlockByNumber"])
async def test_transport_trouble_is_no_verdict(
    connect: Connect, faulty: FaultyRpc, anvil_url: str, method: str
) -> None:
    person = Person(anvil_url)
    person.sends(0)
    newest = mine(anvil_url)
    faulty.faults[method] = Drop()
    with pytest.raises(RpcUnavailable):
        await user_of_nonce(connect(faulty.url), person.address, 0, newest)
    faulty.faults = wrong_chain(1)
    with pytest.raises(WrongChain):
        await user_of_nonce(connect(faulty.url), person.address, 0, newest)
