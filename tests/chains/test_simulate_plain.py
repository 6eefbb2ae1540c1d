import pytest

from anvil.accounts import ACCOUNTS
from chains.addresses import parse_address
from chains.errors import RpcRefused, RpcUnavailable
from chains.refusals import lacks_method
from chains.rpc import ChainClient
from chains.simulate import Behind, Call, recommended_gas, simulate, simulate_bundle
from tests.chains.conftest import Contracts, calldata, fresh
from tests.chains.test_quantities import NO_QUANTITIES
from tests.support.faulty_rpc import Answer, FaultyRpc, Refuse, no_simulation

SENDER = parse_address(ACCOUNTS[5].address)

WORDINGS = [
    (-32601, "the method eth_simulateV1 does not exist/is not available", True),
    (-32601, "Method not found", True),
    (-32602, "unsupported tracer", True),
    (-32004, "Method not supported", True),
    (-32000, "eth_simulateV1 is not supported", True),
    (-32000, "Unsupported method: eth_simulateV1", True),
    (-32603, "Internal error", False),
    (-32000, "insufficient funds for gas * price + value", False),
    (-38014, "insufficient funds", False),
    (3, "execution reverted: not supported", False),
]


@pytest.fixture(autouse=True)
def node_without_simulation(faulty: FaultyRpc) -> None:
    faulty.faults |= no_simulation()


@pytest.mark.parametrize(("code", "message", "lacks"), WORDINGS)
def test_which_refusals_are_about_the_method(code: int, message: str, lacks: bool) -> None:
    assert lacks_method(RpcRefused(code, message)) is lacks


async def test_success_says_what_it_does_not_know(faulty_client: ChainClient) -> None:
    result = await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))
    assert (result.status, result.gas_used, result.balance_changes) == ("success", 21000, [])
    assert "balance changes unknown" in result.method
    assert recommended_gas(result) == 21000
    prior = [Call(SENDER, fresh(), 1, b"", 21000)] * 2
    result = await simulate(faulty_client, Call(SENDER, fresh(), 1, b""), Behind(prior))
    assert "2 earlier transactions of this wallet not applied" in result.method


async def test_gas_gets_its_margin(faulty_client: ChainClient, contracts: Contracts) -> None:
    data = calldata("split(address,address)", fresh(), fresh())
    result = await simulate(faulty_client, Call(SENDER, contracts.forwarder, 2, data))
    assert result.status == "success"
    assert recommended_gas(result) > result.gas_used * 1.2
    result = await simulate(faulty_client, Call(SENDER, contracts.forwarder, 2, data, 777_777))
    assert recommended_gas(result) == 777_777


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("failWithReason()", "this always fails"),
        ("failWithAssert()", "panic 0x01"),
        ("failWithCustom()", "custom error 0x"),
    ],
)
async def test_reverts_say_why(faulty_client: ChainClient, contracts: Contracts, signature: str, reason: str) -> None:
    result = await simulate(faulty_client, Call(SENDER, contracts.reverter, 0, calldata(signature)))
    assert result.status == "reverted"
    assert str(result.revert_reason).startswith(reason)


@pytest.mark.parametrize("signature", ["failSilently()", "burnAllGas()"])
async def test_failures_without_a_word_are_failures(
    faulty_client: ChainClient, contracts: Contracts, signature: str
) -> None:
    result = await simulate(faulty_client, Call(SENDER, contracts.reverter, 0, calldata(signature), 100_000))
    assert result.status == "reverted"
    assert result.revert_reason


async def test_funds_that_are_not_there(faulty_client: ChainClient) -> None:
    result = await simulate(faulty_client, Call(fresh(), SENDER, 1, b""))
    assert (result.status, result.error_code) == ("error", "INSUFFICIENT_FUNDS")


async def test_an_estimate_that_fails_is_no_success(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    faulty.faults["eth_estimateGas"] = Refuse(-32000, "gas required exceeds allowance (0)")
    assert (await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))).status == "error"
    for fault in (Refuse(-32603, "Internal error"), Answer(None), Answer("many")):
        faulty.faults["eth_estimateGas"] = fault
        with pytest.raises(RpcUnavailable):
            await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))


@pytest.mark.parametrize("answer", NO_QUANTITIES)
async def test_an_unreadable_estimate_is_no_success(
    faulty: FaultyRpc, faulty_client: ChainClient, answer: object
) -> None:
    faulty.faults["eth_estimateGas"] = Answer(answer)
    with pytest.raises(RpcUnavailable):
        await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))


@pytest.mark.parametrize("answer", [None, {}, [], 5, True, "", "ok"])
async def test_an_unreadable_call_is_no_success(
    faulty: FaultyRpc, faulty_client: ChainClient, answer: object
) -> None:
    faulty.faults["eth_call"] = Answer(answer)
    with pytest.raises(RpcUnavailable):
        await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))


async def test_only_the_first_of_a_bundle_can_be_told(faulty_client: ChainClient) -> None:
    calls = [Call(SENDER, fresh(), 1, b"") for _ in range(3)]
    results = await simulate_bundle(faulty_client, calls)
    assert [result.status for result in results] == ["success", "error", "error"]
    assert results[1].error_code == "SIMULATION_UNSUPPORTED"
