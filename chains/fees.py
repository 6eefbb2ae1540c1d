"""What to pay for gas: from the base fee, never from a multiple of what was paid last. [pure]

A node's eth_gasPrice can follow the last price paid, so multiples of it grow without bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from chains.errors import BadFees, DoubtfulPrice
from chains.transactions import MAX_UINT256, DynamicFeeTransaction, LegacyTransaction, Transaction
from chains.units import GWEI

# Twice the base fee outlasts six full blocks in a row (EIP-1559: at most +12.5 % each)
BASE_FEE_HEADROOM: Final = 2
# Above these one endpoint's word is not enough. Tips are paid whole, however high the cap; chains with a floor ask
# for 25 to 50 gwei (Polygon)
PLAIN_TIP: Final = 50 * GWEI
PLAIN_PRICE: Final = 10 * PLAIN_TIP
# A tip that only one endpoint names is worth so many base fees at most
MAX_BASE_FEES_OF_TIP: Final = 10
# What endpoints that lag and those that do not name at most, one against the other, in a rush
BASE_FEES_APART: Final = 100


@dataclass(frozen=True, slots=True)
class FeeRequest:
    """What the caller asked for, in wei per gas; None is "you choose"."""

    gas_price: int | None = None
    max_fee_per_gas: int | None = None
    max_priority_fee_per_gas: int | None = None

    def __post_init__(self) -> None:
        if self.gas_price is not None and self.max_fee_per_gas is None and self.max_priority_fee_per_gas is not None:
            # whichever of the two was meant, the other would be passed over in silence
            raise BadFees(
                "gas_price and max_priority_fee_per_gas do not go together: give gas_price alone for a legacy"
                " transaction, or max_fee_per_gas with the priority fee"
            )


@dataclass(frozen=True, slots=True)
class FeeQuote:
    """What the chain asks, in wei per gas; `base_fee` is the next block's, None on a chain without EIP-1559.

    A base fee of zero is a base fee. `doubtful` is a gas price beyond belief: it is paid only where the caller names
    it.
    """

    base_fee: int | None
    gas_price: int
    priority_fee: int
    doubtful: bool = False
    # False where the tip was read off the gas price
    tip_named: bool = True


@dataclass(frozen=True, slots=True)
class LegacyFees:
    """One price, wei per gas."""

    gas_price: int


@dataclass(frozen=True, slots=True)
class DynamicFees:
    """Cap and tip, wei per gas (EIP-1559)."""

    max_fee_per_gas: int
    max_priority_fee_per_gas: int


def needs_others(said: FeeQuote) -> bool:
    """Is this too much to be taken on one endpoint's word?"""
    if said.base_fee is None:
        return said.gas_price > PLAIN_TIP
    return said.priority_fee > PLAIN_TIP or said.base_fee > PLAIN_PRICE


def believed(said: Sequence[FeeQuote]) -> FeeQuote:
    """What to go by when every endpoint was asked, one quote each (at least one).

    The lowest tip and the lowest gas price, for those are paid whole; of tips only those that an endpoint named. Of
    base fees the highest that is at most `BASE_FEES_APART` times the lowest (or a gwei): of it nothing is paid
    above the chain's own, and with one that is too low, by an endpoint that lags, nothing is mined. Who names a
    base fee goes before who names none: a field that is missing says nothing. With one endpoint alone the tip is
    clipped to `MAX_BASE_FEES_OF_TIP` base fees or `PLAIN_TIP`, whichever is more; a gas price above `PLAIN_PRICE`
    is doubtful.
    """
    base_fees = [each.base_fee for each in said if each.base_fee is not None]
    highest = BASE_FEES_APART * max(min(base_fees, default=0), GWEI)
    base_fee = max((each for each in base_fees if each <= highest), default=None)
    alike = [each for each in said if (each.base_fee is None) == (base_fee is None)]
    named = [each for each in alike if each.tip_named] or alike
    quote = FeeQuote(
        base_fee=base_fee,
        gas_price=min(each.gas_price for each in alike),
        priority_fee=min(each.priority_fee for each in named),
    )
    if len(said) > 1:
        return quote
    if base_fee is None:
        return replace(quote, doubtful=quote.gas_price > PLAIN_PRICE)
    return replace(quote, priority_fee=min(quote.priority_fee, max(MAX_BASE_FEES_OF_TIP * base_fee, PLAIN_TIP)))


def choose_fees(request: FeeRequest, quote: FeeQuote) -> LegacyFees | DynamicFees:
    """The fees to sign with; what the request names is taken as it is, what it leaves out is filled in.

    Dynamic when a cap is named (it wins over a gas price) or a tip alone, or when nothing is named and the chain
    has a base fee; otherwise legacy. BadFees for a tip above the cap, for dynamic fees on a chain without a base fee,
    and for numbers no transaction can hold; DoubtfulPrice where the price to fill in is beyond belief.
    """
    cap, tip = request.max_fee_per_gas, request.max_priority_fee_per_gas
    if cap is None and tip is None and (request.gas_price is not None or quote.base_fee is None):
        if request.gas_price is None and quote.doubtful:
            raise DoubtfulPrice(
                f"the gas price that the chain's one endpoint names ({quote.gas_price} wei) is not believable:"
                " if it is right, give gas_price"
            )
        return LegacyFees(_fits(quote.gas_price if request.gas_price is None else request.gas_price))
    if quote.base_fee is None:
        raise BadFees("this chain has no base fee (EIP-1559): give gas_price instead")
    if tip is None:
        tip = quote.priority_fee if cap is None else min(quote.priority_fee, cap)
    if cap is None:
        cap = BASE_FEE_HEADROOM * quote.base_fee + tip
    if tip > cap:
        raise BadFees(f"max_priority_fee_per_gas ({tip} wei) is above max_fee_per_gas ({cap} wei)")
    return DynamicFees(max_fee_per_gas=_fits(cap), max_priority_fee_per_gas=_fits(tip))


def replacement_fees(old: Transaction, quote: FeeQuote) -> LegacyFees | DynamicFees:
    """Fees of the same type that outbid `old` in any pool: 12.5 % more in every part, and no less than the market.

    Pools ask for 10 % (go-ethereum) or 12.5 % (others) on both cap and tip.
    """
    base_fee = quote.base_fee or 0
    if isinstance(old, LegacyTransaction):
        market = quote.gas_price if quote.base_fee is None else BASE_FEE_HEADROOM * base_fee + quote.priority_fee
        if quote.doubtful:
            # to outbid what was signed is enough
            market = 0
        return LegacyFees(_fits(max(_bump(old.gas_price), market)))
    assert isinstance(old, DynamicFeeTransaction)
    tip = max(_bump(old.max_priority_fee_per_gas), quote.priority_fee)
    cap = max(_bump(old.max_fee_per_gas), BASE_FEE_HEADROOM * base_fee + tip)
    return DynamicFees(max_fee_per_gas=_fits(cap), max_priority_fee_per_gas=_fits(tip))


def _bump(price: int) -> int:
    # rounded up, and never nothing
    return max(-(-price * 9 // 8), price + 1)


def _fits(price: int) -> int:
    if not 0 <= price <= MAX_UINT256:
        raise BadFees("a fee must be below 2**256 wei per gas")
    return price
