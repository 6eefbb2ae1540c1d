from chains.errors import RpcRefused
from tests.chains.test_quantities import NO_QUANTITIES
from vault.metrics.balances import _balance


def test_a_balance_that_cannot_be_read_is_missing_and_costs_no_other_wallet_its_own() -> None:
    assert [_balance(answer) for answer in NO_QUANTITIES] == [None] * len(NO_QUANTITIES)
    assert _balance(RpcRefused(-32000, "no state")) is None
    assert _balance("0x7") == 7
