import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account

from anvil.accounts import ACCOUNTS
from anvil.chain import CHAIN_ID
from anvil.rpc import call
from chains.defaults import ANVIL
from chains.errors import RpcRefused, RpcUnavailable, WrongChain
from chains.rpc import ChainClient, ChainClients, SendOutcome, SendResult
from tests.chains.conftest import Connect
from tests.support.faulty_rpc import Answer, Delay, Drop, Fault, FaultyRpc, Garbage, Refuse, Status, wrong_chain
from tests.support.pace import patient
from tests.support.ports import free_port

SENDER = ACCOUNTS[1]
EVERY_TRANSPORT_FAULT: list[Callable[[], Fault]] = [
    lambda: Drop(forward=False),
    Drop,
    lambda: Delay(seconds=30),
    lambda: Status(status=502),
    lambda: Status(status=500, body=b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"nonce too low"}}'),
    lambda: Status(status=429),
    lambda: Status(status=301),
    Garbage,
    lambda: Garbage(body=b""),
    lambda: Garbage(body=b"7"),
    lambda: Garbage(body=b"{}"),
    lambda: Garbage(body=b"[]"),
    lambda: Garbage(body=b'{"jsonrpc":"2.0","id":"other","result":"0x1"}'),
    lambda: Refuse(code=-32005, message="limit exceeded"),
]


def patience_s(fault: Fault) -> float:
    """Short only where the test must wait for it to run out: the machine may be busy."""
    return 1.0 if isinstance(fault, Delay) else 10.0


def transfer(url: str, **fields: object) -> bytes:
    tx = {
        "chainId": CHAIN_ID,
        "nonce": int(call(url, "eth_getTransactionCount", SENDER.address, "pending"), 16),
        "gasPrice": 10**10,
        "gas": 21000,
        "to": ACCOUNTS[2].address,
        "value": 1,
    }
    return bytes(Account.sign_transaction(tx | fields, SENDER.private_key).raw_transaction)


async def test_call_and_batch(client: ChainClient) -> None:
    assert await client.call("eth_chainId", []) == hex(CHAIN_ID)
    results = await client.batch(
        [("eth_chainId", []), ("eth_nonsense", []), ("eth_getBalance", [ACCOUNTS[9].address, "latest"])]
    )
    assert results[0] == hex(CHAIN_ID)
    assert isinstance(results[1], RpcRefused)
    assert results[1].code == -32601
    assert int(results[2], 16) > 0
    assert await client.batch([]) == []


async def test_a_refusal_is_raised_with_code_message_and_data(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    faulty.faults["eth_call"] = Refuse(3, "execution reverted", {"data": "0xdeadbeef"})
    with pytest.raises(RpcRefused) as caught:
        await faulty_client.call("eth_call", [{}])
    assert (caught.value.code, caught.value.message, caught.value.data) == (3, "execution reverted", "0xdeadbeef")


async def test_a_refusal_by_http_400_is_a_refusal(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    await faulty_client.verify_chain()
    body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no such method"}}'
    faulty.mode = Status(status=400, body=body)
    with pytest.raises(RpcRefused, match="no such method"):
        await faulty_client.call("eth_x", [])
    refused = await faulty_client.batch([("eth_x", []), ("eth_y", [])])
    assert [str(each) for each in refused] == ["no such method (-32601)"] * 2


async def test_answers_out_of_order_are_put_in_order(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    await faulty_client.verify_chain()
    # ids count on from 1
    body = b'[{"jsonrpc":"2.0","id":2,"result":"b"},{"id":[1],"result":"?"},{"jsonrpc":"2.0","id":1,"result":"a"}]'
    faulty.mode = Garbage(body=body)
    assert await faulty_client.batch([("first", []), ("second", [])]) == ["a", "b"]


@pytest.mark.parametrize("fault", EVERY_TRANSPORT_FAULT)
async def test_no_answer_is_unavailable(connect: Connect, faulty: FaultyRpc, fault: Callable[[], Fault]) -> None:
    client = connect(faulty.url + "/v2/SECRET", timeout_s=patience_s(fault()))
    await client.verify_chain()
    faulty.mode = fault()
    for ask in (lambda: client.call("eth_blockNumber", []), lambda: client.batch([("eth_blockNumber", [])])):
        with pytest.raises(RpcUnavailable) as caught:
            await ask()
        assert "SECRET" not in str(caught.value)
        assert str(CHAIN_ID) in str(caught.value)
    faulty.mode = None
    assert int(await client.call("eth_blockNumber", []), 16) >= 0


@pytest.mark.parametrize("fault", EVERY_TRANSPORT_FAULT)
async def test_the_next_endpoint_answers_and_is_asked_first_from_then_on(
    connect: Connect, faulty: FaultyRpc, anvil_url: str, fault: Callable[[], Fault]
) -> None:
    client = connect(faulty.url, anvil_url, timeout_s=patience_s(fault()))
    assert await client.call("eth_chainId", []) == hex(CHAIN_ID)
    faulty.mode = fault()
    assert await client.call("eth_chainId", []) == hex(CHAIN_ID)
    seen = faulty.exchanges
    for _ in range(5):
        await client.call("eth_blockNumber", [])
    assert faulty.exchanges == seen


async def test_nobody_listens(connect: Connect, anvil_url: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    client = connect(nobody)
    with pytest.raises(RpcUnavailable, match="cannot be connected to"):
        await client.call("eth_chainId", [])
    client = connect(nobody, "not a url", anvil_url)
    assert await client.call("eth_chainId", []) == hex(CHAIN_ID)


async def test_a_slow_endpoint_costs_its_timeout_only(connect: Connect, faulty: FaultyRpc) -> None:
    client = connect(faulty.url, timeout_s=0.5)
    await client.verify_chain()
    faulty.mode = Delay(seconds=30)
    started = time.monotonic()
    with pytest.raises(RpcUnavailable, match="in time"):
        await client.call("eth_blockNumber", [])
    assert time.monotonic() - started < patient(10)


async def test_a_connection_lost_once_is_made_again(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    await faulty_client.verify_chain()
    faulty.mode = Drop(forward=False, times=1)
    assert await faulty_client.call("eth_chainId", []) == hex(CHAIN_ID)


async def test_an_endpoint_of_another_chain_is_sent_nothing(
    connect: Connect, faulty: FaultyRpc, anvil_url: str
) -> None:
    faulty.faults |= wrong_chain(1)
    client = connect(faulty.url)
    with pytest.raises(WrongChain, match=f"serves chain 1 instead of {CHAIN_ID}"):
        await client.verify_chain()
    with pytest.raises(WrongChain):
        await client.call("eth_getBalance", [SENDER.address, "latest"])
    with pytest.raises(WrongChain):
        await client.batch([("eth_blockNumber", [])])
    assert (await client.send_raw(transfer(anvil_url))).outcome is SendOutcome.UNKNOWN
    assert {method for method, _ in faulty.calls} == {"eth_chainId"}


async def test_another_endpoint_of_the_right_chain_helps(connect: Connect, faulty: FaultyRpc, anvil_url: str) -> None:
    faulty.faults |= wrong_chain(1)
    client = connect(faulty.url, anvil_url)
    assert int(await client.call("eth_blockNumber", []), 16) >= 0
    assert {method for method, _ in faulty.calls} == {"eth_chainId"}


@pytest.mark.parametrize("answer", [None, "", "31337", 31337, "0xzz", {}])
async def test_an_endpoint_that_does_not_name_its_chain_is_not_used(
    faulty: FaultyRpc, faulty_client: ChainClient, answer: object
) -> None:
    faulty.faults["eth_chainId"] = Answer(answer)
    with pytest.raises((RpcUnavailable, WrongChain)):
        await faulty_client.call("eth_blockNumber", [])
    assert faulty.count("eth_blockNumber") == 0


async def test_the_chain_is_asked_for_once_and_again_after_a_lost_connection(
    faulty: FaultyRpc, faulty_client: ChainClient
) -> None:
    await asyncio.gather(*(faulty_client.call("eth_blockNumber", []) for _ in range(20)))
    assert faulty.count("eth_chainId") == 1
    # behind the same name stands another node when the connection comes back
    faulty.mode = Drop(forward=False, times=2)
    with pytest.raises(RpcUnavailable):
        await faulty_client.call("eth_blockNumber", [])
    blocks_asked = faulty.count("eth_blockNumber")
    faulty.faults |= wrong_chain(1)
    with pytest.raises(WrongChain):
        await faulty_client.call("eth_blockNumber", [])
    assert faulty.count("eth_blockNumber") == blocks_asked


async def test_the_chain_is_asked_for_again_after_a_while(
    faulty: FaultyRpc, faulty_client: ChainClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chains.endpoint.RECHECK_AFTER_S", 0.0)
    await faulty_client.call("eth_blockNumber", [])
    faulty.faults |= wrong_chain(1)
    with pytest.raises(WrongChain):
        await faulty_client.call("eth_blockNumber", [])


async def test_a_huge_answer_is_not_read(
    faulty: FaultyRpc, faulty_client: ChainClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await faulty_client.verify_chain()
    monkeypatch.setattr("chains.endpoint.MAX_ANSWER_BYTES", 1000)
    faulty.faults["eth_x"] = Answer("x" * 2000)
    with pytest.raises(RpcUnavailable):
        await faulty_client.call("eth_x", [])


async def test_send(client: ChainClient, anvil_url: str) -> None:
    raw = transfer(anvil_url)
    assert (await client.send_raw(raw)).outcome is SendOutcome.ACCEPTED
    # mined meanwhile: the nonce is used, by these very bytes
    assert (await client.send_raw(raw)).outcome in (SendOutcome.NONCE_TOO_LOW, SendOutcome.ALREADY_KNOWN)


@pytest.mark.usefixtures("manual_mining")
async def test_send_to_a_pool_that_has_it(client: ChainClient, anvil_url: str) -> None:
    raw = transfer(anvil_url)
    assert (await client.send_raw(raw)).outcome is SendOutcome.ACCEPTED
    assert (await client.send_raw(raw)).outcome is SendOutcome.ALREADY_KNOWN


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"nonce": 0}, SendOutcome.NONCE_TOO_LOW),
        ({"value": 10**24}, SendOutcome.REFUSED),
        ({"gas": 20999}, SendOutcome.REFUSED),
        ({"gas": 10**9}, SendOutcome.REFUSED),
        ({"gasPrice": 1}, SendOutcome.REFUSED),
    ],
)
async def test_what_the_node_refuses(
    client: ChainClient, anvil_url: str, fields: dict[str, int], outcome: SendOutcome
) -> None:
    await client.send_raw(transfer(anvil_url))
    call(anvil_url, "evm_mine")
    result = await client.send_raw(transfer(anvil_url, **fields))
    assert result.outcome is outcome, result
    assert result.message


async def test_bytes_that_are_no_transaction_are_refused(client: ChainClient) -> None:
    result = await client.send_raw(b"\x02\xc0")
    assert result.outcome is SendOutcome.REFUSED, result


@pytest.mark.parametrize("fault", EVERY_TRANSPORT_FAULT)
async def test_no_answer_to_a_send_is_unknown_and_the_same_bytes_may_follow(
    connect: Connect, faulty: FaultyRpc, anvil_url: str, fault: Callable[[], Fault]
) -> None:
    client = connect(faulty.url, timeout_s=patience_s(fault()))
    raw = transfer(anvil_url)
    faulty.faults["eth_sendRawTransaction"] = fault()
    assert (await client.send_raw(raw)).outcome is SendOutcome.UNKNOWN
    del faulty.faults["eth_sendRawTransaction"]
    assert (await client.send_raw(raw)).outcome in (
        SendOutcome.ACCEPTED,
        SendOutcome.ALREADY_KNOWN,
        SendOutcome.NONCE_TOO_LOW,
    )


@pytest.mark.parametrize("fault", [Drop(times=2), Status(status=502, forward=True), Garbage(forward=True)])
async def test_a_refusal_after_a_lost_answer_proves_nothing(
    connect: Connect, faulty: FaultyRpc, anvil_url: str, fault: Fault
) -> None:
    """The first endpoint took and mined the bytes; the second says "nonce too low", which is true and no failure."""
    client = connect(faulty.url, anvil_url, timeout_s=10.0)
    faulty.faults["eth_sendRawTransaction"] = fault
    result = await client.send_raw(transfer(anvil_url))
    assert result.outcome in (SendOutcome.UNKNOWN, SendOutcome.ALREADY_KNOWN), result


async def test_a_refusal_after_an_endpoint_that_is_down_counts(connect: Connect, anvil_url: str) -> None:
    client = connect(f"http://127.0.0.1:{free_port()}", anvil_url)
    assert (await client.send_raw(transfer(anvil_url, value=10**24))).outcome is SendOutcome.REFUSED


async def test_another_hash_than_that_of_the_bytes_is_no_acceptance(
    faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str
) -> None:
    answers: tuple[object, ...] = ("0x" + "00" * 32, None, True, "", {})
    for answer in answers:
        faulty.faults["eth_sendRawTransaction"] = Answer(answer)
        assert (await faulty_client.send_raw(transfer(anvil_url))).outcome is SendOutcome.UNKNOWN


async def test_the_nodes_words_are_cleaned(faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str) -> None:
    raw = transfer(anvil_url)
    words = "\x00in\u202esuff\x1b[31micient\r\nfunds\x00 " + "\x00x" * 5_000
    messages: list[Any] = [words, "nonce too low\x00" + words, {"why": words}, "\x00", None]
    for message in messages:
        faulty.faults["eth_sendRawTransaction"] = Refuse(-32000, message)
        result = await faulty_client.send_raw(raw)
        assert result.message is not None
        assert result.message.isprintable()
        assert 0 < len(result.message) <= 300
    faulty.faults["eth_x"] = Refuse(-32000, words)
    with pytest.raises(RpcRefused) as caught:
        await faulty_client.call("eth_x", [])
    assert caught.value.message.isprintable()


async def test_words_behind_a_lost_answer_are_cleaned(connect: Connect, faulty: FaultyRpc, anvil_url: str) -> None:
    async with FaultyRpc(anvil_url) as second:
        client = connect(faulty.url, second.url)
        faulty.faults["eth_sendRawTransaction"] = Status(status=502, forward=True)
        second.faults["eth_sendRawTransaction"] = Refuse(-32000, "nonce too low\x00\x07" + "y" * 1_000)
        result = await client.send_raw(transfer(anvil_url))
    assert result.outcome is SendOutcome.UNKNOWN
    assert result.message is not None
    assert result.message.startswith("no answer at first, then: nonce too low y")
    assert result.message.isprintable()
    assert len(result.message) == 300


def test_a_result_is_clean_whoever_makes_it() -> None:
    assert SendResult(SendOutcome.REFUSED, " a\x00b\n").message == "a b"
    assert SendResult(SendOutcome.ACCEPTED).message is None


async def test_clients_prefer_the_operators_endpoints(anvil_url: str, faulty: FaultyRpc) -> None:
    clients = ChainClients({CHAIN_ID: [anvil_url]})
    chain = replace(ANVIL, rpc_url=faulty.url)
    await clients.for_chain(chain).call("eth_blockNumber", [])
    assert faulty.exchanges == 0
    assert clients.for_chain(chain) is clients.for_chain(chain)
    await clients.close()


async def test_clients_follow_the_registry(anvil_url: str, faulty: FaultyRpc) -> None:
    clients = ChainClients({1: [anvil_url]})
    old = clients.for_chain(replace(ANVIL, rpc_url=anvil_url))
    await old.call("eth_blockNumber", [])
    new = clients.for_chain(replace(ANVIL, rpc_url=faulty.url))
    assert new is not old
    await new.call("eth_blockNumber", [])
    assert faulty.count("eth_blockNumber") == 1
    # a request under way on the old one is not cut off
    await old.call("eth_blockNumber", [])
    with pytest.raises(RpcUnavailable, match="no RPC endpoint is configured for chain anvil"):
        clients.for_chain(ANVIL)
    await clients.close()
