"""Endpoints that take few calls at once, or say something else than an answer: split, or asked of the next one."""

import logging
from collections.abc import AsyncIterator

import pytest

from chains.errors import RpcRefused, RpcUnavailable
from chains.rpc import SendOutcome
from tests.chains.conftest import Connect
from tests.chains.test_rpc import transfer
from tests.support.faulty_rpc import Batches, Change, Refuse, Status
from tests.support.odd_node import BATCHED, ELSEWHERE, EVERY, OddNode, Row, rows

MANY = 25
BLOCK = ("eth_getBlockByNumber", ["0x0", False])


@pytest.fixture
async def odd(anvil_url: str) -> AsyncIterator[OddNode]:
    async with OddNode(anvil_url) as node:
        yield node


@pytest.mark.parametrize("batches", [pytest.param(each, id=name) for name, each in BATCHED.items()])
async def test_lists_get_as_short_as_it_takes_them(connect: Connect, odd: OddNode, batches: Batches) -> None:
    odd.batches = batches
    client = connect(odd.url)
    requests = [("eth_chainId", []) if n % 2 else BLOCK for n in range(MANY)]
    answers = await client.batch(requests)
    assert [isinstance(answer, str) for answer in answers] == [method == "eth_chainId" for method, _ in requests]
    learnt = len(odd.sizes)
    assert await client.batch(requests) == answers
    assert len(odd.sizes) - learnt <= MANY
    assert max(odd.sizes[learnt:]) <= batches.most, "forgot what the endpoint takes"


async def test_a_single_call_is_no_list(connect: Connect, odd: OddNode) -> None:
    assert len(await connect(odd.url).batch([BLOCK])) == 1
    assert set(odd.sizes) == {0}


async def test_a_list_that_is_answered_in_part(connect: Connect, odd: OddNode) -> None:
    """One call's odd answer is one call's trouble: the next endpoint is asked for it, and for it alone."""
    requests = [BLOCK, ("eth_gasPrice", []), ("eth_blockNumber", [])]
    odd.faults["eth_gasPrice"] = Change(how=lambda item: {"id": None})
    block, price, number = await connect(odd.url).batch(requests)
    assert isinstance(price, RpcRefused)
    assert (block["number"], isinstance(number, str)) == ("0x0", True)
    async with OddNode(odd.upstream) as second:
        block, price, number = await connect(odd.url, second.url).batch(requests)
        assert (block["number"], isinstance(price, str), isinstance(number, str)) == ("0x0", True, True)
        assert [method for method, _ in second.calls if method != "eth_chainId"] == ["eth_gasPrice"]


@pytest.mark.parametrize("row", rows(ELSEWHERE))
async def test_what_is_no_answer_is_asked_of_the_next(
    connect: Connect, odd: OddNode, anvil_url: str, row: Row
) -> None:
    client = connect(odd.url, anvil_url)
    await client.verify_chain()
    odd.be(row)
    assert int(await client.call("eth_blockNumber", []), 16) >= 0
    odd.be(row)
    block, chain_id = await client.batch([BLOCK, ("eth_chainId", [])])
    assert (block["number"], chain_id) == ("0x0", hex(client.chain_id))
    odd.be(row)
    assert (await client.send_raw(transfer(anvil_url))).outcome is SendOutcome.ACCEPTED


@pytest.mark.parametrize("row", rows(ELSEWHERE))
async def test_what_is_no_answer_is_told_when_nobody_answers_better(
    connect: Connect, odd: OddNode, row: Row, anvil_url: str
) -> None:
    client = connect(odd.url)
    await client.verify_chain()
    odd.be(row)
    with pytest.raises((RpcRefused, RpcUnavailable)) as caught:
        await client.call("eth_blockNumber", [])
    fault = row.faults[EVERY]
    assert isinstance(fault, Refuse | Status)
    said = (
        fault.message
        if isinstance(fault, Refuse)
        else "Unauthorized"
        if fault.status == 200
        else f"HTTP {fault.status}"
    )
    assert said in str(caught.value)
    assert (await client.send_raw(transfer(anvil_url))).outcome is SendOutcome.UNKNOWN


async def test_an_answer_about_the_call_is_an_answer(connect: Connect, odd: OddNode) -> None:
    """The second would say the same, or something worse: a contract's word is final, whatever it reads like."""
    async with OddNode(odd.upstream) as second:
        client = connect(odd.url, second.url)
        for refusal in (
            Refuse(3, "execution reverted: Unauthorized", "0x"),
            Refuse(-32603, "execution reverted: too many requests"),
            Refuse(-32000, "insufficient funds for gas * price + value"),
        ):
            odd.faults["eth_call"] = refusal
            with pytest.raises(RpcRefused, match=r"reverted|insufficient"):
                await client.call("eth_call", [{}])
            assert isinstance((await client.batch([BLOCK, ("eth_call", [{}])]))[1], RpcRefused)
        # whether it is there is asked on the side
        assert {method for method, _ in second.calls} <= {"eth_chainId"}


async def test_bytes_that_a_vague_endpoint_may_have_taken_are_not_called_refused(
    connect: Connect, odd: OddNode, anvil_url: str
) -> None:
    client = connect(odd.url, anvil_url)
    odd.faults["eth_sendRawTransaction"] = Refuse(-32603, "Internal error", forward=True)
    result = await client.send_raw(transfer(anvil_url))
    assert result.outcome in (SendOutcome.UNKNOWN, SendOutcome.ALREADY_KNOWN), result
    # a limit stopped it before it was looked at
    odd.faults["eth_sendRawTransaction"] = Refuse(-32029, "Too many requests")
    assert (await client.send_raw(transfer(anvil_url, value=10**24))).outcome is SendOutcome.REFUSED


async def test_a_key_in_the_address_is_never_repeated(connect: Connect, odd: OddNode) -> None:
    client = connect(f"{odd.url}/v3/0123456789abcdef")
    odd.mode = Refuse(-32001, "project id 0123456789abcdef is over https://eth.example/v3/0123456789abcdef's quota")
    with pytest.raises(RpcUnavailable) as caught:
        await client.call("eth_blockNumber", [])
    assert "0123456789abcdef" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    assert "endpoint 1" in str(caught.value)


async def test_a_missing_method_is_logged_once(
    connect: Connect, odd: OddNode, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(odd.url)
    odd.faults["eth_x"] = Refuse(-32601, "no such method")
    with caplog.at_level(logging.WARNING, "chains"):
        for _ in range(3):
            with pytest.raises(RpcRefused, match="no such method"):
                await client.call("eth_x", [])
    assert [record.getMessage() for record in caplog.records if "eth_x" in record.getMessage()] == [
        f"chain {client.chain_id}: {odd.url} does not offer eth_x: no such method (-32601)"
    ]


async def test_an_outage_is_no_limit_on_lists(connect: Connect, odd: OddNode) -> None:
    client = connect(odd.url)
    odd.be(ELSEWHERE["-32603"])
    with pytest.raises((RpcUnavailable, RpcRefused)):
        await client.call("eth_blockNumber", [])
    odd.be_sound()
    before = len(odd.sizes)
    await client.batch([BLOCK] * 5)
    assert odd.sizes[before:] in ([5], [0, 5])
    odd.mode = Status(502)
    with pytest.raises(RpcUnavailable):
        await client.batch([BLOCK] * 5)
    odd.mode = None
    before = len(odd.sizes)
    await client.batch([BLOCK] * 5)
    assert 5 in odd.sizes[before:]
