import pytest

from chains.errors import RpcRefused, RpcUnavailable
from chains.simulation_result import SimulationResult, from_refusal, recommended_gas, reverted


@pytest.mark.parametrize(
    ("code", "message", "error_code"),
    [
        (-32003, "Insufficient funds for gas * price + value", "INSUFFICIENT_FUNDS"),
        (-38014, "err: insufficient funds for transfer: address 0x00", "INSUFFICIENT_FUNDS"),
        (-38013, "intrinsic gas too low: have 1, want 21000", "INTRINSIC_GAS_TOO_LOW"),
        (-38015, "exceeds block gas limit", "GAS"),
        (-32000, "sender is not an eoa", "REFUSED"),
    ],
)
def test_a_refusal_of_the_call_is_an_error_with_a_code(code: int, message: str, error_code: str) -> None:
    result = from_refusal(RpcRefused(code, message), "any", ())
    assert (result.status, result.error_code, result.error) == ("error", error_code, message)
    assert "behind 1 earlier" in str(from_refusal(RpcRefused(code, message), "any", [0]).error)


@pytest.mark.parametrize("message", ["Internal error", "header not found", "", "timeout", "something new"])
def test_the_nodes_own_trouble_is_no_verdict(message: str) -> None:
    with pytest.raises(RpcUnavailable):
        from_refusal(RpcRefused(-32000, message), "any", ())


def test_gas_is_recommended_for_what_succeeds() -> None:
    assert recommended_gas(SimulationResult("success", 21000, gas_limit=30000)) == 30000
    with pytest.raises(ValueError, match="does not succeed"):
        recommended_gas(reverted("no", 21000, "any"))
