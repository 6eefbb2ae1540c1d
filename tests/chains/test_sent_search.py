"""An account's transactions are found by one node, and only what its own key signed."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eth_account import Account

from anvil.chain import CHAIN_ID
from anvil.rpc import call
from chains.rpc import ChainClient
from chains.sent import read_sent
from chains.sent_search import BLOCKS_WALKED, CALLS_PER_ACCOUNT, Steps, block_before, walk_back
from tests.chains.test_nonce_user import Person, mine
from tests.support.faulty_rpc import Change, FaultyRpc, Refuse

pytestmark = pytest.mark.usefixtures("manual_mining")


async def steps_of(client: ChainClient, person: Person) -> Steps:
    head, mined = await client.batch(
        [("eth_blockNumber", []), ("eth_getTransactionCount", [person.account.address, "latest"])]
    )
    return Steps(client, person.address, int(head, 16), int(mined, 16))


async def test_all_are_found_with_their_amounts_and_times(faulty_client: ChainClient, anvil_url: str) -> None:
    person, sent = Person(anvil_url), []
    for per_block in (1, 3, 0, 2):
        sent += [person.sends(len(sent) + each) for each in range(per_block)]
        mine(anvil_url)
        mine(anvil_url, 30)
    steps = await steps_of(faulty_client, person)
    found = await steps.find(range(len(sent) + 2))
    assert {nonce: each.tx_hash for nonce, each in found.items()} == dict(enumerate(sent))
    # as Person.sends has it
    assert {nonce: each.transaction.value for nonce, each in found.items()} == {
        each: each for each in range(len(sent))
    }
    for each in found.values():
        block = call(anvil_url, "eth_getBlockByNumber", hex(each.block_number), False)
        assert each.block_at == datetime.fromtimestamp(int(block["timestamp"], 16), UTC)


async def test_no_more_calls_than_are_stated(faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str) -> None:
    person, number = Person(anvil_url), 60
    for nonce in range(number):
        person.sends(nonce)
        mine(anvil_url)
    mine(anvil_url, 500)
    before = len(faulty.calls)
    steps = await steps_of(faulty_client, person)
    found = await steps.find(range(number))
    assert steps.calls <= CALLS_PER_ACCOUNT
    assert len(faulty.calls) - before <= CALLS_PER_ACCOUNT + 2
    # the newest first
    assert found
    assert sorted(found) == list(range(number - len(found), number))


async def test_without_old_state_the_blocks_show_it(
    faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str
) -> None:
    person = Person(anvil_url)
    old = person.sends(0)
    mine(anvil_url)
    mine(anvil_url, BLOCKS_WALKED)
    new = person.sends(1)
    head = mine(anvil_url)
    faulty.faults["eth_getTransactionCount"] = Refuse(
        -32000, "missing trie node", when=lambda params: params[1] != "latest"
    )
    assert await (await steps_of(faulty_client, person)).find([0, 1]) == {}
    found = await walk_back(faulty_client, head, {person.address: {0, 1}})
    assert {nonce: each.tx_hash for (_, nonce), each in found.items()} == {1: new}
    assert old != new


async def test_what_the_key_did_not_sign_is_not_its(
    faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str
) -> None:
    """Another amount, another sender's bytes under its name, or bytes of another chain."""
    person, other = Person(anvil_url), Person(anvil_url)
    person.sends(0)
    mine(anvil_url)
    other.sends(0)
    mine(anvil_url)
    block = call(anvil_url, "eth_getBlockByNumber", "latest", True)
    (theirs,) = block["transactions"]
    assert read_sent(theirs, CHAIN_ID, other.address) is not None
    assert read_sent(theirs | {"from": person.account.address}, CHAIN_ID, person.address) is None
    for lie in ({"value": "0x5"}, {"nonce": "0x1"}, {"to": person.account.address}, {"input": "0x00"}, {"r": "0x0"}):
        assert read_sent(theirs | lie, CHAIN_ID, other.address) is None, lie
    assert read_sent(theirs, CHAIN_ID + 1, other.address) is None
    for junk in (None, "0x12", [], {"from": other.account.address}, theirs | {"v": None}, theirs | {"s": "many"}):
        assert read_sent(junk, CHAIN_ID, other.address) is None, junk

    def less(item: dict[str, Any]) -> dict[str, Any]:
        changed = deepcopy(item)
        for each in changed["result"]["transactions"]:
            each["value"] = "0x0"
        return changed

    person.sends(1)
    mine(anvil_url)
    faulty.faults["eth_getBlockByNumber"] = Change(how=less)
    assert await (await steps_of(faulty_client, person)).find([1]) == {}


async def test_both_kinds_that_talon_signs_are_read(anvil_url: str) -> None:
    account = Account.create()
    call(anvil_url, "anvil_setBalance", account.address, hex(10**20))
    common = {"chainId": CHAIN_ID, "gas": 60_000, "to": account.address, "value": 7, "data": "0xa9059cbb00"}
    fees = ({"gasPrice": 10**11}, {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 2})
    for nonce, each in enumerate(fees):
        signed = account.sign_transaction(common | each | {"nonce": nonce})
        call(anvil_url, "eth_sendRawTransaction", f"0x{signed.raw_transaction.hex().removeprefix('0x')}")
        mine(anvil_url)
        (item,) = call(anvil_url, "eth_getBlockByNumber", "latest", True)["transactions"]
        read = read_sent(item, CHAIN_ID, bytes.fromhex(account.address[2:]))
        assert read is not None, item
        assert (read[0].value, read[0].data.hex(), read[1]) == (7, "a9059cbb00", bytes(signed.hash))


async def test_the_block_at_a_moment(faulty_client: ChainClient, anvil_url: str) -> None:
    newest = mine(anvil_url, 3)
    at = int(call(anvil_url, "eth_getBlockByNumber", hex(newest), False)["timestamp"], 16)
    assert await block_before(faulty_client, datetime.fromtimestamp(at, UTC)) == newest
    before = await block_before(faulty_client, datetime.fromtimestamp(at, UTC) - timedelta(seconds=1))
    assert before is not None
    assert before < newest
    assert await block_before(faulty_client, datetime(2000, 1, 1, tzinfo=UTC)) is None
