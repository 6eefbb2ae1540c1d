import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import BadFees, DoubtfulPrice
from chains.fees import (
    DynamicFees,
    FeeQuote,
    FeeRequest,
    LegacyFees,
    believed,
    choose_fees,
    needs_others,
    replacement_fees,
)
from chains.transactions import MAX_UINT256, DynamicFeeTransaction, LegacyTransaction
from chains.units import GWEI

WITH_BASE = FeeQuote(base_fee=100, gas_price=130, priority_fee=10)
WITHOUT_BASE = FeeQuote(base_fee=None, gas_price=130, priority_fee=10)


@pytest.mark.parametrize(
    ("request_", "quote", "fees"),
    [
        (FeeRequest(), WITH_BASE, DynamicFees(210, 10)),
        (FeeRequest(), WITHOUT_BASE, LegacyFees(130)),
        (FeeRequest(gas_price=7), WITH_BASE, LegacyFees(7)),
        (FeeRequest(gas_price=7), WITHOUT_BASE, LegacyFees(7)),
        (FeeRequest(gas_price=0), WITH_BASE, LegacyFees(0)),
        (FeeRequest(max_fee_per_gas=500), WITH_BASE, DynamicFees(500, 10)),
        (FeeRequest(max_fee_per_gas=5), WITH_BASE, DynamicFees(5, 5)),
        (FeeRequest(max_priority_fee_per_gas=0), WITH_BASE, DynamicFees(200, 0)),
        (FeeRequest(max_priority_fee_per_gas=50), WITH_BASE, DynamicFees(250, 50)),
        (FeeRequest(max_fee_per_gas=50, max_priority_fee_per_gas=50), WITH_BASE, DynamicFees(50, 50)),
        (FeeRequest(gas_price=7, max_fee_per_gas=500), WITH_BASE, DynamicFees(500, 10)),
        (FeeRequest(max_fee_per_gas=500), FeeQuote(0, 130, 10), DynamicFees(500, 10)),
        (FeeRequest(), FeeQuote(0, 130, 10), DynamicFees(10, 10)),
    ],
)
def test_choice(request_: FeeRequest, quote: FeeQuote, fees: LegacyFees | DynamicFees) -> None:
    assert choose_fees(request_, quote) == fees


@pytest.mark.parametrize(
    ("request_", "quote", "word"),
    [
        (FeeRequest(max_fee_per_gas=49, max_priority_fee_per_gas=50), WITH_BASE, "above max_fee_per_gas"),
        (FeeRequest(max_fee_per_gas=50), WITHOUT_BASE, "give gas_price"),
        (FeeRequest(max_priority_fee_per_gas=50), WITHOUT_BASE, "give gas_price"),
        (FeeRequest(gas_price=5, max_fee_per_gas=50), WITHOUT_BASE, "give gas_price"),
        (FeeRequest(max_priority_fee_per_gas=MAX_UINT256), WITH_BASE, "2\\*\\*256"),
        (FeeRequest(gas_price=-1), WITH_BASE, "2\\*\\*256"),
    ],
)
def test_contradictions_are_refused(request_: FeeRequest, quote: FeeQuote, word: str) -> None:
    with pytest.raises(BadFees, match=word):
        choose_fees(request_, quote)


def test_a_price_and_a_tip_alone_say_two_things() -> None:
    with pytest.raises(BadFees, match="do not go together"):
        FeeRequest(gas_price=7, max_priority_fee_per_gas=3)


def test_the_price_does_not_follow_what_was_paid_last() -> None:
    spoilt = FeeQuote(base_fee=100, gas_price=10**12, priority_fee=10)
    assert choose_fees(FeeRequest(), spoilt) == choose_fees(FeeRequest(), WITH_BASE)


def dynamic(base_gwei: float, tip_gwei: float) -> FeeQuote:
    base, tip = int(base_gwei * GWEI), int(tip_gwei * GWEI)
    return FeeQuote(base_fee=base, gas_price=base + tip, priority_fee=tip)


def legacy(gwei: int, *, doubtful: bool = False) -> FeeQuote:
    return FeeQuote(base_fee=None, gas_price=gwei * GWEI, priority_fee=0, doubtful=doubtful)


@pytest.mark.parametrize(
    ("said", "right"),
    [
        (dynamic(0.005, 0.001), False),
        (dynamic(0, 25), False),
        (dynamic(400, 50), False),
        (dynamic(400, 51), True),
        (dynamic(501, 1), True),
        (legacy(50), False),
        (legacy(51), True),
    ],
)
def test_what_one_endpoint_is_believed(said: FeeQuote, right: bool) -> None:
    assert needs_others(said) is right


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ([dynamic(1, 4000)], dynamic(1, 50)),
        ([dynamic(30, 200)], dynamic(30, 200)),
        ([dynamic(30, 4000)], dynamic(30, 300)),
        ([dynamic(1, 4000), dynamic(2, 3)], dynamic(2, 3)),
        # one that lags while the price rises, one that lies
        ([dynamic(600, 1), dynamic(20, 1)], dynamic(600, 1)),
        ([dynamic(4000, 1), dynamic(2, 3)], dynamic(2, 1)),
        ([dynamic(1, 900), dynamic(1, 800)], dynamic(1, 800)),
        ([legacy(4000), dynamic(2, 3)], dynamic(2, 3)),
        ([legacy(500)], legacy(500)),
        ([legacy(501)], legacy(501, doubtful=True)),
        ([legacy(4000), legacy(3000)], legacy(3000)),
    ],
)
def test_what_all_endpoints_are_believed(said: list[FeeQuote], right: FeeQuote) -> None:
    for order in (said, said[::-1]):
        found = believed(order)
        assert (found.base_fee, found.priority_fee, found.doubtful) == (
            right.base_fee,
            right.priority_fee,
            right.doubtful,
        )
        if right.base_fee is None:
            assert found.gas_price == right.gas_price


def test_a_tip_that_nobody_named_is_nobodys_lowest() -> None:
    derived = FeeQuote(base_fee=30 * GWEI, gas_price=30 * GWEI, priority_fee=0, tip_named=False)
    assert believed([dynamic(30, 60), derived]).priority_fee == 60 * GWEI
    assert believed([derived, derived]).priority_fee == 0


def test_a_gas_price_beyond_belief_is_paid_only_where_it_is_named() -> None:
    doubted = legacy(4000, doubtful=True)
    with pytest.raises(DoubtfulPrice, match="give gas_price"):
        choose_fees(FeeRequest(), doubted)
    assert choose_fees(FeeRequest(gas_price=4000 * GWEI), doubted) == LegacyFees(4000 * GWEI)
    # what was signed can still be outbid: its wallet is not jammed
    old = LegacyTransaction(chain_id=1, nonce=0, gas_limit=21000, to=bytes(20), value=0, data=b"", gas_price=8 * GWEI)
    assert replacement_fees(old, doubted) == LegacyFees(9 * GWEI)


PRICE = st.integers(0, 10**15)


@given(PRICE, PRICE, st.none() | PRICE, PRICE, PRICE)
def test_a_replacement_outbids_in_every_part(
    tip: int, more: int, base: int | None, price: int, suggested: int
) -> None:
    quote = FeeQuote(base_fee=base, gas_price=price, priority_fee=suggested)
    fields = {"chain_id": 1, "nonce": 0, "gas_limit": 21000, "to": bytes(20), "value": 0, "data": b""}
    dynamic = DynamicFeeTransaction(max_priority_fee_per_gas=tip, max_fee_per_gas=tip + more, **fields)
    new = replacement_fees(dynamic, quote)
    assert isinstance(new, DynamicFees)
    for old_price, new_price in (
        (tip, new.max_priority_fee_per_gas),
        (tip + more, new.max_fee_per_gas),
    ):
        assert new_price > old_price
        assert new_price * 8 >= old_price * 9
    assert new.max_fee_per_gas >= new.max_priority_fee_per_gas
    assert new.max_fee_per_gas >= 2 * (base or 0) + suggested

    legacy = replacement_fees(LegacyTransaction(gas_price=tip, **fields), quote)
    assert isinstance(legacy, LegacyFees)
    assert legacy.gas_price > tip
    assert legacy.gas_price * 8 >= tip * 9
    assert legacy.gas_price >= (price if base is None else 2 * base + suggested)
