"""Amounts: whole wei inside, decimal text outside, never a float in between. [pure]

`decimal` is not used either: its default context rounds 99999999999.999999999999999999 ether up.
"""

import re
from typing import Final

from chains.errors import BadAmount

DECIMALS: Final = 18
ETHER: Final = 10**DECIMALS
GWEI: Final = 10**9
MAX_UINT256: Final = 2**256 - 1

# 60 digits of ether, a point and 18 places write any amount below 2**256 wei; longer text is padding or an attack
_MAX_TEXT: Final = 100
_ETHER = re.compile(r"([0-9]+)(?:\.([0-9]{1,18}))?", re.ASCII)
_WEI = re.compile(r"[0-9]+", re.ASCII)


def parse_ether(text: str) -> int:
    """Wei of an amount in ether.

    Plain decimal text: ASCII digits, at least one before the point and, where there is a point, 1 to 18 after
    it (so neither ".5" nor "1."). BadAmount for a sign, exponent, separator, space or anything else, and for
    2**256 wei or more.
    """
    match = _ETHER.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise BadAmount("not an amount: expected plain decimal digits with at most 18 after the point, such as 0.25")
    whole, fraction = match.group(1), match.group(2) or ""
    wei = int(whole) * ETHER + int(fraction.ljust(DECIMALS, "0"))
    return _bounded(wei, "; it is given in whole native coins (0.5 is half a coin), not in wei")


def parse_wei(text: str) -> int:
    """An amount in whole wei; BadAmount for anything but ASCII digits, and for 2**256 or more."""
    if len(text) > _MAX_TEXT or not _WEI.fullmatch(text):
        raise BadAmount("not an amount in wei: expected plain digits, such as 1500000000")
    return _bounded(int(text))


def format_ether(wei: int) -> str:
    """Shortest exact decimal text of an amount in wei: 1500000000000000000 is "1.5"; a debt keeps its sign."""
    return format_units(wei, DECIMALS)


def format_units(amount: int, decimals: int) -> str:
    """The same of an amount of which 10**decimals make a whole."""
    whole, fraction = divmod(abs(amount), 10**decimals)
    places = f"{fraction:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{'-' if amount < 0 else ''}{whole}{'.' if places else ''}{places}"


def _bounded(wei: int, hint: str = "") -> int:
    if wei > MAX_UINT256:
        raise BadAmount(f"too large: an amount must be below 2**256 wei{hint}")
    return wei
