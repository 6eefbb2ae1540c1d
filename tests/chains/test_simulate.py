import pytest
from eth_utils.crypto import keccak

from anvil.chain import BLOCK_GAS_LIMIT
from anvil.rpc import call
from chains.addresses import format_address
from chains.rpc import ChainClient
from chains.simulate import Behind, Call, SimulationResult, recommended_gas, simulate, simulate_bundle
from chains.units import ETHER
from tests.chains.conftest import SENDER, Contracts, calldata, fresh, mined, send
from tests.support.faulty_rpc import (
    FaultyRpc,
    no_simulation,
    wrong_chain,
)


def changes(result: SimulationResult) -> dict[tuple[bytes, bytes | None], int]:
    found = {(change.address, change.token): change.change for change in result.balance_changes}
    assert len(found) == len(result.balance_changes)
    for change in result.balance_changes:
        assert change.after - change.before == change.change != 0
    return found


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
