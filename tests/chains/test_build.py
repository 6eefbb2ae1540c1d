"""Fees choose the type; every other field arrives as it was given."""

from chains.build import build
from chains.fees import DynamicFees, LegacyFees
from chains.transactions import DynamicFeeTransaction, LegacyTransaction

FIELDS = {"chain_id": 1, "nonce": 2, "gas_limit": 3, "to": b"\x04" * 20, "value": 5, "data": b"\x06"}


def test_a_gas_price_makes_a_legacy_transaction() -> None:
    assert build(LegacyFees(7), **FIELDS) == LegacyTransaction(gas_price=7, **FIELDS)


def test_a_cap_makes_a_1559_transaction() -> None:
    fees = DynamicFees(max_fee_per_gas=9, max_priority_fee_per_gas=8)
    expected = DynamicFeeTransaction(max_fee_per_gas=9, max_priority_fee_per_gas=8, **FIELDS)
    assert build(fees, **FIELDS) == expected
