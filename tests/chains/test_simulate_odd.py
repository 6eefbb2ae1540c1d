"""Simulations by nodes that are in trouble, lack something or answer what cannot be read."""

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from anvil.rpc import call
from chains.errors import RpcUnavailable, WrongChain
from chains.rpc import ChainClient
from chains.simulate import Behind, Call, recommended_gas, simulate, simulate_bundle
from tests.chains.conftest import SENDER, Connect, calldata, fresh
from tests.chains.test_quantities import NO_QUANTITIES
from tests.support.faulty_rpc import (
    Answer,
    Drop,
    Fault,
    FaultyRpc,
    Garbage,
    Refuse,
    Status,
    no_simulation,
    wrong_chain,
)
from tests.support.odd_node import when_block


@pytest.mark.parametrize("answer", [None, [], {}, "0x", [{}] * 3, [{"calls": []}] * 3, [{"calls": [{}]}] * 3])
async def test_an_unreadable_simulation_is_no_success(
    faulty: FaultyRpc, faulty_client: ChainClient, answer: object
) -> None:
    faulty.faults["eth_simulateV1"] = Answer(answer)
    with pytest.raises(RpcUnavailable):
        await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))


@pytest.mark.parametrize(
    "fault", [Drop(), Status(status=502), Garbage(), Refuse(-32603, "Internal error"), Refuse(-32005, "slow down")]
)
async def test_a_node_in_trouble_is_unavailable_not_a_verdict(
    connect: Connect, faulty: FaultyRpc, fault: Fault
) -> None:
    client = connect(faulty.url)
    faulty.faults["eth_simulateV1"] = fault
    with pytest.raises(RpcUnavailable):
        await simulate(client, Call(SENDER, fresh(), 1, b""))
    with pytest.raises(RpcUnavailable):
        await simulate_bundle(client, [Call(SENDER, fresh(), 1, b""), Call(SENDER, fresh(), 1, b"")])


async def test_another_chain_is_not_asked(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    faulty.faults |= wrong_chain(1)
    with pytest.raises(WrongChain):
        await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))
    assert faulty.count("eth_simulateV1") == 0


async def test_the_nodes_own_estimate_counts_where_higher(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    """Gas may pay for more than execution, which only the node knows: a share of L1, pubdata."""
    faulty.faults["eth_estimateGas"] = Answer(hex(100_000))
    assert recommended_gas(await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))) == 130_000
    assert (
        recommended_gas(await simulate(faulty_client, Call(SENDER, fresh(), 1, b""), Behind(max_gas=110_000)))
        == 110_000
    )
    too_much = await simulate(faulty_client, Call(SENDER, fresh(), 1, b""), Behind(max_gas=99_999))
    assert (too_much.status, too_much.error_code) == ("error", "GAS_ABOVE_MOST")
    # it may fail for what runs before, which it does not know
    faulty.faults["eth_estimateGas"] = Refuse(3, "execution reverted")
    assert recommended_gas(await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))) == 21000


@pytest.mark.parametrize("answer", NO_QUANTITIES)
async def test_an_unreadable_estimate_is_unavailable(
    faulty: FaultyRpc, faulty_client: ChainClient, answer: object
) -> None:
    faulty.faults["eth_estimateGas"] = Answer(answer)
    with pytest.raises(RpcUnavailable):
        await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))


async def test_what_is_filled_in_stays_within_what_a_transaction_may_be_given(
    client: ChainClient, token: bytes
) -> None:
    mint = Call(SENDER, token, 0, calldata("mint(address,uint256)", fresh(), 5))
    used = (await simulate(client, mint)).gas_used
    result = await simulate(client, mint, Behind(max_gas=used + 5_000))
    assert (result.status, result.gas_limit) == ("success", used + 5_000)
    result = await simulate(client, mint, Behind(max_gas=used - 1))
    assert (result.status, result.error_code) == ("error", "GAS_ABOVE_MOST")


@pytest.mark.parametrize("method", ["eth_simulateV1", "eth_call"])
async def test_a_node_without_a_pending_state_is_asked_about_the_latest_block(
    faulty: FaultyRpc, faulty_client: ChainClient, method: str
) -> None:
    if method == "eth_call":
        faulty.faults |= no_simulation()
    for each in (method, "eth_estimateGas"):
        faulty.faults[each] = when_block("pending", Refuse(-32000, "pending block is not available"))
    behind = Behind(pending=(), unmined=(Call(SENDER, fresh(), 1, b"", 21_000),))
    result = await simulate(faulty_client, Call(SENDER, fresh(), 1, b""), behind)
    assert (result.status, result.gas_limit) == ("success", 21_000)
    params = [params for called, params in faulty.calls if called == method][-1]
    assert params[-1] == "latest"
    if method == "eth_simulateV1":
        assert len(params[0]["blockStateCalls"]) == 1 + 3, "our own unmined transaction runs before"
    else:
        assert "1 earlier transactions" in result.method


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*path, key)
        yield from places(each, (*path, key))


@pytest.mark.parametrize("garbage", [None, {}, [], [None], 5, True, "", "0x", "-0x1", "0x" + "f" * 5_000])
async def test_a_simulation_spoilt_anywhere_is_read_or_unavailable(
    faulty: FaultyRpc, faulty_client: ChainClient, token: bytes, anvil_url: str, garbage: object
) -> None:
    wanted = Call(SENDER, token, 0, calldata("transfer(address,uint256)", fresh(), 10))
    await simulate(faulty_client, wanted)
    method, params = [each for each in faulty.calls if each[0] == "eth_simulateV1"][-1]
    answer = call(anvil_url, method, *params)
    outcomes: Counter[str] = Counter()
    for *path, last in list(places(answer)):
        spoilt = deepcopy(answer)
        holder = spoilt
        for key in path:
            holder = holder[key]
        holder[last] = garbage
        faulty.faults[method] = Answer(spoilt)
        try:
            outcomes[(await simulate(faulty_client, wanted)).status] += 1
        except RpcUnavailable:
            outcomes["unavailable"] += 1
    assert outcomes["unavailable"] >= 10, outcomes


@pytest.mark.parametrize("logs", [5, "x", {"a": 1}, [None], [5], [{"topics": 5}], [{"topics": {"a": 1}}]])
async def test_unreadable_logs_are_unavailable(
    faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str, logs: object
) -> None:
    wanted = Call(SENDER, fresh(), 1, b"")
    await simulate(faulty_client, wanted)
    method, params = [each for each in faulty.calls if each[0] == "eth_simulateV1"][-1]
    answer = call(anvil_url, method, *params)
    answer[1]["calls"][0]["logs"] = logs
    faulty.faults[method] = Answer(answer)
    with pytest.raises(RpcUnavailable):
        await simulate(faulty_client, wanted)
