import asyncio
import time

import pytest

from chains.batches import ask_all
from chains.endpoint import Endpoint
from chains.race import HEDGE_AFTER_S
from chains.rpc import SendOutcome
from tests.chains.conftest import Connect
from tests.chains.test_rpc import transfer
from tests.support.faulty_rpc import Answer, Delay, FaultyRpc, Hold, Refuse, wrong_chain
from tests.support.pace import patient
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


async def test_a_wrong_hash_goes_to_the_next(connect: Connect, faulty: FaultyRpc, anvil_url: str) -> None:
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


# longer than any test takes: who waits for the dead is seen to
DEAD_S = 600.0
SEND = "eth_sendRawTransaction"
SWALLOWS = Answer("0x" + "5a" * 32)


@pytest.mark.parametrize("used", [True, False], ids=["after a question", "as the very first thing"])
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_beside_a_liar_a_first_send_waits_for_no_dead_endpoint(
    connect: Connect, faulty: FaultyRpc, anvil_url: str, at: int, used: bool
) -> None:
    faulty.faults[SEND] = SWALLOWS
    async with FaultyRpc(anvil_url) as dead:
        dead.mode = Delay(seconds=DEAD_S)
        urls = [faulty.url, anvil_url]
        urls.insert(at, dead.url)
        client = connect(*urls, timeout_s=DEAD_S)
        async with asyncio.timeout(patient(30)):
            if used:
                await client.call("eth_blockNumber", [])
            assert (await client.send_raw(transfer(anvil_url))).outcome is SendOutcome.ACCEPTED
        assert dead.count(SEND) == 0


async def test_a_send_goes_on_to_the_next_when_an_endpoint_that_answers_hangs_with_it(
    connect: Connect, faulty: FaultyRpc, anvil_url: str
) -> None:
    faulty.faults[SEND] = Delay(seconds=DEAD_S)
    client = connect(faulty.url, anvil_url, timeout_s=DEAD_S)
    async with asyncio.timeout(patient(30)):
        assert (await client.send_raw(transfer(anvil_url))).outcome is SendOutcome.ACCEPTED
    assert faulty.count(SEND) == 1


async def test_a_refusal_waits_for_who_may_have_taken_the_bytes(
    connect: Connect, faulty: FaultyRpc, anvil_url: str
) -> None:
    """The second one lags or has them from the first: its refusal says nothing while the first is at it."""
    async with FaultyRpc(anvil_url) as second:
        second.faults[SEND] = Refuse(-32000, "nonce too low")
        held = Hold()
        faulty.faults[SEND] = held
        client = connect(faulty.url, second.url, timeout_s=DEAD_S)
        sending = asyncio.create_task(client.send_raw(transfer(anvil_url)))

        async def asked() -> bool:
            return second.count(SEND) > 0

        await until(asked, 60, "the second endpoint to be asked")
        # what would be wrong is there at once
        assert not (await asyncio.wait({sending}, timeout=1))[0]
        held.released.set()
        assert (await sending).outcome is SendOutcome.ACCEPTED


async def test_a_refusal_beside_one_that_hangs_with_the_bytes_proves_nothing_and_a_third_is_asked(
    connect: Connect, faulty: FaultyRpc, anvil_url: str
) -> None:
    async with FaultyRpc(anvil_url) as second:
        faulty.faults[SEND] = Delay(seconds=DEAD_S)
        second.faults[SEND] = Refuse(-32000, "insufficient funds for gas * price + value")
        two = connect(faulty.url, second.url, timeout_s=3.0)
        result = await two.send_raw(transfer(anvil_url))
        assert result.outcome is SendOutcome.UNKNOWN
        assert result.message is not None
        assert "insufficient funds" in result.message
        three = connect(faulty.url, second.url, anvil_url, timeout_s=DEAD_S)
        async with asyncio.timeout(patient(30)):
            assert (await three.send_raw(transfer(anvil_url))).outcome is SendOutcome.ACCEPTED


async def test_a_refusal_in_the_same_moment_as_already_known_proves_nothing(
    connect: Connect, faulty: FaultyRpc, anvil_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have answered before either answer is looked at; which one comes first is chance, so it is often tried."""
    known = asyncio.Event()

    async def exchange(self: Endpoint, session: object, request: dict[str, object]) -> object:
        if self.label == "endpoint 2":
            known.set()
        else:
            await known.wait()
        words = "already known" if self.label == "endpoint 2" else "nonce too low"
        return {"id": request["id"], "error": {"code": -32000, "message": words}}

    monkeypatch.setattr(Endpoint, "exchange", exchange)
    monkeypatch.setattr("chains.race.HEDGE_AFTER_S", 0.0)
    raw = transfer(anvil_url)
    for _ in range(60):
        known.clear()
        result = await connect(faulty.url, anvil_url).send_raw(raw)
        assert result.outcome in (SendOutcome.ALREADY_KNOWN, SendOutcome.UNKNOWN)


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
