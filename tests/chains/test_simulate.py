import time
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak

from anvil.accounts import ACCOUNTS
from anvil.chain import BLOCK_GAS_LIMIT
from anvil.rpc import call
from chains.addresses import format_address, parse_address
from chains.errors import RpcUnavailable, WrongChain
from chains.rpc import ChainClient
from chains.simulate import Behind, Call, SimulationResult, recommended_gas, simulate, simulate_bundle
from chains.units import ETHER
from tests.chains.conftest import Connect, Contracts
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
from tests.support.pace import patient

OWNER = ACCOUNTS[4]
SENDER = parse_address(OWNER.address)


def fresh() -> bytes:
    return parse_address(Account.create().address)


def calldata(signature: str, *values: object) -> bytes:
    types = signature[signature.index("(") + 1 : -1]
    return keccak(text=signature)[:4] + encode(types.split(",") if types else [], values)


def send(url: str, to: bytes, data: bytes = b"", value: int = 0, gas: int | None = None) -> str:
    """From the owner's account; the transaction's hash."""
    tx = {"from": OWNER.address, "to": format_address(to), "data": f"0x{data.hex()}", "value": hex(value)}
    return str(call(url, "eth_sendTransaction", tx if gas is None else tx | {"gas": hex(gas)}))


def mined(url: str, tx_hash: str) -> dict[str, str]:
    """The receipt, which automine has ready a moment after it took the transaction."""
    deadline = time.monotonic() + patient(10)
    while (receipt := call(url, "eth_getTransactionReceipt", tx_hash)) is None:
        assert time.monotonic() < deadline, "not mined"
        time.sleep(0.01)
    found: dict[str, str] = receipt
    return found


def changes(result: SimulationResult) -> dict[tuple[bytes, bytes | None], int]:
    found = {(change.address, change.token): change.change for change in result.balance_changes}
    assert len(found) == len(result.balance_changes)
    for change in result.balance_changes:
        assert change.after - change.before == change.change != 0
    return found


@pytest.fixture
def token(contracts: Contracts, anvil_url: str) -> bytes:
    mined(anvil_url, send(anvil_url, contracts.token, calldata("mint(address,uint256)", SENDER, 1000)))
    return contracts.token


async def test_native_transfer_in_one_exchange(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    to = fresh()
    await faulty_client.verify_chain()
    before = faulty.exchanges
    result = await simulate(faulty_client, Call(SENDER, to, ETHER, b""))
    assert faulty.exchanges == before + 1
    assert (result.status, result.gas_used, result.method) == ("success", 21000, "eth_simulateV1")
    assert changes(result) == {(SENDER, None): -ETHER, (to, None): ETHER}
    assert {change.token_symbol for change in result.balance_changes} == {"ETH"}
    assert next(change for change in result.balance_changes if change.address == to).before == 0
    assert recommended_gas(result) == 21000
    assert (result.revert_reason, result.error, result.error_code) == (None, None, None)


async def test_a_transfer_to_itself_changes_nothing(client: ChainClient) -> None:
    result = await simulate(client, Call(SENDER, SENDER, ETHER, b""))
    assert (result.status, result.balance_changes) == ("success", [])


async def test_token_transfer_changes_both_holders(client: ChainClient, token: bytes) -> None:
    to = fresh()
    result = await simulate(client, Call(SENDER, token, 0, calldata("transfer(address,uint256)", to, 10)))
    assert result.status == "success"
    assert changes(result) == {(SENDER, token): -10, (to, token): 10}
    assert {change.token_symbol for change in result.balance_changes} == {"TEST"}


async def test_token_moved_on_behalf_of_another(client: ChainClient, token: bytes, anvil_url: str) -> None:
    spender, to = fresh(), fresh()
    mined(anvil_url, send(anvil_url, token, calldata("approve(address,uint256)", spender, 7)))
    data = calldata("transferFrom(address,address,uint256)", SENDER, to, 7)
    result = await simulate(client, Call(spender, token, 0, data))
    assert changes(result) == {(SENDER, token): -7, (to, token): 7}


async def test_a_mint_names_only_who_gets_it(client: ChainClient, token: bytes) -> None:
    to = fresh()
    result = await simulate(client, Call(SENDER, token, 0, calldata("mint(address,uint256)", to, 5)))
    assert changes(result) == {(to, token): 5}


async def test_inner_native_transfers_are_found_in_two_exchanges(
    faulty: FaultyRpc, faulty_client: ChainClient, contracts: Contracts
) -> None:
    first, second = fresh(), fresh()
    await faulty_client.verify_chain()
    before = faulty.exchanges
    data = calldata("split(address,address)", first, second)
    result = await simulate(faulty_client, Call(SENDER, contracts.forwarder, 11, data))
    assert faulty.exchanges == before + 2
    assert changes(result) == {(SENDER, None): -11, (first, None): 6, (second, None): 5}


async def test_the_transaction_then_does_what_was_simulated(
    client: ChainClient, contracts: Contracts, anvil_url: str
) -> None:
    """Gas and balances as simulated, with exactly the recommended limit, for a call that passes 63/64 on and on."""
    to = fresh()
    data = calldata("nested(address,uint256)", to, 20)
    result = await simulate(client, Call(SENDER, contracts.forwarder, 3, data))
    assert changes(result) == {(SENDER, None): -3, (to, None): 3}
    receipt = mined(anvil_url, send(anvil_url, contracts.forwarder, data, 3, recommended_gas(result)))
    assert int(receipt["status"], 16) == 1
    assert int(receipt["gasUsed"], 16) <= recommended_gas(result)
    assert int(call(anvil_url, "eth_getBalance", format_address(to), "latest"), 16) == 3


@pytest.mark.parametrize(
    ("signature", "values", "reason"),
    [
        ("failWithReason()", (), "this always fails"),
        ("failWithPanic(uint256)", (1,), "panic 0x11: arithmetic overflow or underflow"),
        ("failWithIndex()", (), "panic 0x32: array index out of bounds"),
        ("failWithAssert()", (), "panic 0x01: assertion failed"),
        ("failWithCustom()", (), f"custom error 0x{keccak(text='Refused(address,uint256)')[:4].hex()} with data 0x"),
        ("burnAllGas()", (), "out of gas, or an invalid instruction"),
    ],
)
@pytest.mark.parametrize("gas_limit", [None, 200_000])
async def test_reverts_say_why(
    client: ChainClient,
    contracts: Contracts,
    signature: str,
    values: tuple[object, ...],
    reason: str,
    gas_limit: int | None,
) -> None:
    result = await simulate(client, Call(SENDER, contracts.reverter, 0, calldata(signature, *values), gas_limit))
    assert result.status == "reverted"
    assert result.revert_reason is not None
    assert result.revert_reason.startswith(reason)
    assert result.error_code == "EXECUTION_REVERTED"
    assert result.gas_used > 21000
    assert result.balance_changes == []
    with pytest.raises(ValueError, match="no gas limit"):
        recommended_gas(result)


async def test_a_silent_revert_is_a_revert(client: ChainClient, contracts: Contracts) -> None:
    result = await simulate(client, Call(SENDER, contracts.reverter, 5, calldata("failSilently()")))
    assert (result.status, result.balance_changes) == ("reverted", [])
    assert result.revert_reason


async def test_tokens_that_are_not_there(client: ChainClient, token: bytes) -> None:
    data = calldata("transfer(address,uint256)", fresh(), 1)
    result = await simulate(client, Call(fresh(), token, 0, data))
    assert result.status == "reverted"
    assert result.revert_reason is not None
    assert result.revert_reason.startswith("custom error 0x")


async def test_funds_that_are_not_there(client: ChainClient) -> None:
    result = await simulate(client, Call(fresh(), SENDER, 1, b""))
    assert (result.status, result.error_code, result.balance_changes) == ("error", "INSUFFICIENT_FUNDS", [])
    assert "nsufficient funds" in str(result.error)
    with pytest.raises(ValueError, match="no gas limit"):
        recommended_gas(result)


async def test_too_little_gas_to_start(client: ChainClient) -> None:
    result = await simulate(client, Call(SENDER, fresh(), 1, b"", 20_999))
    assert result.status == "error"
    assert result.error_code == "INTRINSIC_GAS_TOO_LOW"


async def test_too_little_gas_to_finish(client: ChainClient, token: bytes) -> None:
    data = calldata("transfer(address,uint256)", fresh(), 1)
    result = await simulate(client, Call(SENDER, token, 0, data, 30_000))
    assert result.status == "reverted"
    assert result.revert_reason is not None
    assert "out of gas" in result.revert_reason


async def test_more_gas_than_a_block_holds(client: ChainClient) -> None:
    result = await simulate(client, Call(SENDER, fresh(), 1, b"", BLOCK_GAS_LIMIT + 1))
    assert (result.status, result.error_code) == ("error", "GAS_LIMIT_ABOVE_BLOCK")


async def test_a_given_gas_limit_stays(client: ChainClient, token: bytes) -> None:
    data = calldata("transfer(address,uint256)", fresh(), 1)
    assert recommended_gas(await simulate(client, Call(SENDER, token, 0, data, 123_456))) == 123_456


async def test_prior_transactions_go_first(client: ChainClient) -> None:
    poor, to = fresh(), fresh()
    spend = Call(poor, to, 4, b"")
    assert (await simulate(client, spend)).status == "error"
    result = await simulate(
        client, spend, Behind([Call(SENDER, poor, 10, b"", 21000), Call(poor, to, 5, b"", 21000)])
    )
    assert result.status == "success"
    # what the prior ones move is not this one's doing
    assert changes(result) == {(poor, None): -4, (to, None): 4}
    result = await simulate(client, spend, Behind([Call(SENDER, poor, 10, b""), Call(poor, to, 7, b"")]))
    assert result.status == "error"
    assert "behind 2 earlier transactions" in str(result.error)


@pytest.mark.usefixtures("manual_mining")
async def test_the_nodes_pool_counts(client: ChainClient, anvil_url: str) -> None:
    poor = fresh()
    assert (await simulate(client, Call(poor, SENDER, 4, b""))).status == "error"
    send(anvil_url, poor, value=10)
    assert (await simulate(client, Call(poor, SENDER, 4, b""))).status == "success"


async def test_each_of_a_bundle_runs_on_what_the_one_before_left(client: ChainClient, token: bytes) -> None:
    middle, end = fresh(), fresh()
    results = await simulate_bundle(
        client,
        [
            Call(SENDER, token, 0, calldata("transfer(address,uint256)", middle, 10)),
            Call(middle, token, 0, calldata("transfer(address,uint256)", end, 4)),
            Call(middle, token, 0, calldata("transfer(address,uint256)", end, 7)),
            Call(middle, token, 0, calldata("transfer(address,uint256)", end, 6)),
        ],
    )
    assert [result.status for result in results] == ["success", "success", "reverted", "success"]
    assert changes(results[0]) == {(SENDER, token): -10, (middle, token): 10}
    assert changes(results[1]) == {(middle, token): -4, (end, token): 4}
    assert changes(results[3]) == {(middle, token): -6, (end, token): 6}
    assert results[2].balance_changes == []


async def test_one_of_a_bundle_that_cannot_start_does_not_hide_the_others(client: ChainClient) -> None:
    poor, to = fresh(), fresh()
    results = await simulate_bundle(
        client,
        [Call(poor, to, 1, b""), Call(SENDER, poor, 5, b""), Call(poor, to, 1, b""), Call(poor, to, 5, b"")],
    )
    assert [result.status for result in results] == ["error", "success", "success", "error"]
    assert results[0].error_code == results[3].error_code == "INSUFFICIENT_FUNDS"
    assert changes(results[2]) == {(poor, None): -1, (to, None): 1}


async def test_a_bundle_of_one(client: ChainClient) -> None:
    (result,) = await simulate_bundle(client, [Call(SENDER, fresh(), 1, b"")])
    assert result.status == "success"


async def test_nothing_simulated_stays(client: ChainClient, anvil_url: str) -> None:
    to = fresh()
    await simulate_bundle(client, [Call(SENDER, to, 1, b""), Call(SENDER, to, 1, b"")])
    assert int(call(anvil_url, "eth_getBalance", format_address(to), "pending"), 16) == 0


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


async def test_the_native_coin_has_its_chains_name(faulty: FaultyRpc) -> None:
    client = ChainClient(137, [faulty.url])
    faulty.faults |= wrong_chain(137)
    result = await simulate(client, Call(SENDER, fresh(), 1, b""))
    assert {change.token_symbol for change in result.balance_changes} == {"POL"}
    await client.close()


async def test_without_the_method_the_answer_is_plainer(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    faulty.faults |= no_simulation()
    result = await simulate(faulty_client, Call(SENDER, fresh(), 1, b""))
    assert (result.status, result.balance_changes) == ("success", [])
    assert "eth_call" in result.method
