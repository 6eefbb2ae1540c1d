"""How a denial reads: exact amounts, and lists that stay short. [pure]"""

from collections.abc import Iterable
from itertools import islice

from chains.units import ETHER, format_ether

MAX_LISTED = 5
# a thousand million coins: no chain's account holds as many, and a thousandth of a coin in wei is more
ABSURD_WEI = 10**9 * ETHER


def amount(wei: int) -> str:
    """An amount as people and the contract's fields write it: decimal text, in whole native coins."""
    return format_ether(wei)


def in_coins(wei: int) -> str:
    """What to add to a refusal of an amount that only somebody means who counts in wei; "" for any other."""
    return "; value is given in whole native coins (0.5 is half a coin), not in wei" if wei >= ABSURD_WEI else ""


def listed(names: Iterable[str]) -> str:
    """The first few names in order, and how many more there are; "none" for an empty list."""
    ordered = sorted(names)
    shown = ", ".join(islice(ordered, MAX_LISTED))
    more = len(ordered) - MAX_LISTED
    return f"{shown} and {more} more" if more > 0 else shown or "none"
