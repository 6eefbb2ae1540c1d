"""How a denial reads: exact amounts, and lists that stay short. [pure]"""

from collections.abc import Iterable
from itertools import islice

from chains.units import format_ether

MAX_LISTED = 5


def amount(wei: int) -> str:
    """An amount as people and the contract's fields write it: decimal text, in whole native coins."""
    return format_ether(wei)


def listed(names: Iterable[str]) -> str:
    """The first few names in order, and how many more there are; "none" for an empty list."""
    ordered = sorted(names)
    shown = ", ".join(islice(ordered, MAX_LISTED))
    more = len(ordered) - MAX_LISTED
    return f"{shown} and {more} more" if more > 0 else shown or "none"
