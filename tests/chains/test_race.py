import asyncio
import time

import pytest

from chains.batches import ask_all
from chains.race import HEDGE_AFTER_S
from chains.rpc import SendOutcome
from tests.chains.conftest import Connect
from tests.chains.test_rpc import transfer
from tests.support.faulty_rpc import Answer, Delay, FaultyRpc, wrong_chain
from tests.support.world import until


async def test_a_hanging_endpoint_costs_one_moment_once_and_is_asked_no_more_until_it_answers(
    connect: Connect, faulty: FaultyRpc, anvil_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chains.health.COOL_DOWN_S", 0.5)
    faulty.mode = Delay(seconds=60)
    client = connect(faulty.url, anvil_url, timeout_s=30.0)
    began = time.monotonic()
    async with asyncio.timeout(20):  # its time-out is longer: the other one answered meanwhile
        await client.call("eth_blockNumber", [])
    assert time.monotonic() - began >= HEDGE_AFTER_S
    seen = faulty.exchanges
    for _ in range(20):
        await client.call("eth_blockNumber", [])
    assert faulty.count("eth_blockNumber") == 0
    assert faulty.exchanges <= seen + 1  # a probe on the side at most
    faulty.mode = None

    async def back() -> bool:
        await client.call("eth_blockNumber", [])
        return faulty.count("eth_blockNumber") > 0

    await until(back, 90, "the first endpoint to be asked again")


async def test_a_send_waits_for_its_endpoint_and_a_wrong_hash_goes_to_the_next(
    connect: Connect, faulty: FaultyRpc, anvil_url: str
) -> None:
    faulty.faults["eth_sendRawTransaction"] = Answer("0x" + "11" * 32)
    client = connect(faulty.url, anvil_url)
    assert (await client.send_raw(transfer(anvil_url))).outcome is SendOutcome.ACCEPTED
    assert faulty.count("eth_sendRawTransaction") == 1


async def test_a_refusal_after_a_wrong_hash_proves_nothing(
    connect: Connect, faulty: FaultyRpc, anvil_url: str
) -> None:
    """It may have taken the bytes all the same."""
    faulty.faults["eth_sendRawTransaction"] = Answer("0x" + "11" * 32)
    client = connect(faulty.url, anvil_url)
    assert (await client.send_raw(transfer(anvil_url, value=10**24))).outcome is SendOutcome.UNKNOWN


async def test_each_endpoint_can_be_asked_by_itself(connect: Connect, faulty: FaultyRpc, anvil_url: str) -> None:
    faulty.faults |= wrong_chain(1)
    client = connect(faulty.url, anvil_url, anvil_url)
    answers = await asyncio.gather(*(each.call("eth_chainId", []) for each in client.each()), return_exceptions=True)
    assert len(answers) == 2  # named twice, it still is one witness
    assert "serves chain 1" in str(answers[0])
    assert answers[1] == hex(client.chain_id)


async def test_who_is_asked_when_the_other_has_answered_all_is_asked_nothing(
    connect: Connect, faulty: FaultyRpc
) -> None:
    client = connect(faulty.url)
    assert await ask_all(client._endpoints[0], client._open(), []) == {}
    assert faulty.exchanges == 0
