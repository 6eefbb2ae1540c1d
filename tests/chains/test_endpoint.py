import asyncio

import pytest

from chains.endpoint import Endpoint, mask_url
from chains.errors import RpcUnavailable, WrongChain
from tests.chains.conftest import Connect
from tests.chains.test_quantities import NO_QUANTITIES
from tests.support.faulty_rpc import Answer, Delay, Drop, FaultyRpc, wrong_chain

CALLERS = 8


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("https://eth.example/v2/SECRET", "https://eth.example"),
        ("https://user:SECRET@eth.example:8443/x?key=SECRET#SECRET", "https://eth.example:8443"),
        ("https://[2001:db8::1]:8545/SECRET", "https://2001:db8::1:8545"),
        ("SECRET", "(unreadable endpoint)"),
        ("http://SECRET:notaport/", "(unreadable endpoint)"),
        ("", "(unreadable endpoint)"),
    ],
)
def test_only_scheme_host_and_port_are_shown(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def test_final_blocks_are_forgotten_with_the_chain_that_they_were_of() -> None:
    endpoint = Endpoint(31337, "http://127.0.0.1:1", 1.0)
    endpoint.finality.named = 80
    for genesis_hash, named in ((b"a" * 32, 80), (None, 80), (b"a" * 32, 80), (b"b" * 32, 0)):
        endpoint.expect(genesis_hash)
        assert endpoint.finality.named == named


async def test_callers_of_a_hanging_endpoint_wait_for_one_timeout_between_them(
    connect: Connect, faulty: FaultyRpc, anvil_url: str
) -> None:
    faulty.mode = Delay(seconds=30)
    client = connect(faulty.url, anvil_url, timeout_s=1.0)
    async with asyncio.timeout(3.0):
        blocks = await asyncio.gather(*(client.call("eth_blockNumber", []) for _ in range(CALLERS)))
    assert all(int(block, 16) >= 0 for block in blocks)
    assert faulty.count("eth_chainId") == faulty.exchanges == 1


async def test_callers_of_the_only_endpoint_fail_together(connect: Connect, faulty: FaultyRpc) -> None:
    faulty.mode = Delay(seconds=30)
    client = connect(faulty.url, timeout_s=1.0)
    asks = [client.call("eth_blockNumber", []), client.verify_chain(), client.batch([("eth_blockNumber", [])])]
    async with asyncio.timeout(3.0):
        failures = await asyncio.gather(*asks, return_exceptions=True)
    assert {type(failure) for failure in failures} == {RpcUnavailable}
    assert all("in time" in str(failure) for failure in failures)
    assert faulty.exchanges == 1
    faulty.mode = None
    assert int(await client.call("eth_blockNumber", []), 16) >= 0


async def test_callers_of_an_endpoint_of_another_chain_are_told_together(connect: Connect, faulty: FaultyRpc) -> None:
    faulty.faults |= wrong_chain(1)
    client = connect(faulty.url)
    failures = await asyncio.gather(
        *(client.call("eth_blockNumber", []) for _ in range(CALLERS)), return_exceptions=True
    )
    assert {type(failure) for failure in failures} == {WrongChain}
    assert len({id(failure) for failure in failures}) == CALLERS
    assert faulty.count("eth_chainId") == faulty.exchanges == 1


async def test_a_connection_that_was_kept_too_long_fails_nobody_who_waits(
    connect: Connect, faulty: FaultyRpc
) -> None:
    faulty.faults["eth_chainId"] = Drop(forward=False, times=1)
    client = connect(faulty.url)
    blocks = await asyncio.gather(*(client.call("eth_blockNumber", []) for _ in range(CALLERS)))
    assert len(blocks) == CALLERS


async def test_who_waits_for_a_caller_that_gives_up_asks_itself_and_nobody_waits_longer_than_a_timeout(
    connect: Connect, faulty: FaultyRpc
) -> None:
    faulty.faults["eth_chainId"] = Delay(seconds=30)
    client = connect(faulty.url, timeout_s=1.0)
    done: list[str] = []

    async def ask(name: str) -> None:
        with pytest.raises(RpcUnavailable):
            await client.call("eth_blockNumber", [])
        done.append(name)

    first, second, third = (asyncio.create_task(ask(name)) for name in ("first", "second", "third"))
    await asyncio.sleep(0.5)  # the measured time itself: the first gives up half-way
    first.cancel()
    await asyncio.gather(second, third)
    assert done == ["third", "second"]
    assert faulty.count("eth_chainId") == 2


@pytest.mark.parametrize("answer", NO_QUANTITIES)
async def test_what_names_no_chain_is_not_used(connect: Connect, faulty: FaultyRpc, answer: object) -> None:
    faulty.faults["eth_chainId"] = Answer(answer)
    client = connect(faulty.url)
    with pytest.raises(RpcUnavailable, match="which chain"):
        await client.call("eth_blockNumber", [])
    with pytest.raises(RpcUnavailable, match="which chain"):
        await client.verify_chain()
    assert faulty.count("eth_blockNumber") == 0
