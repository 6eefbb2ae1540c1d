"""Numbers as JSON-RPC writes them: `0x` and hex digits; whatever else a node answers is no number."""

import re
from typing import Final

from chains.errors import BadHex, RpcRefused, Unreadable

# What the chain counts (nonces, gas, blocks, its id) is kept in signed 64-bit columns; EIP-2681 bounds nonces alike
COUNT_BITS: Final = 63
AMOUNT_BITS: Final = 256
# A gas price beyond this is nobody's; so twice the price, times any gas, still is an amount
PRICE_BITS: Final = 128

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)


def parse_quantity(value: object, bits: int) -> int:
    """The number, below 2**bits; leading zeros are let pass. BadHex for everything else.

    Stricter than int(value, 16), which reads signs, spaces, underscores and other scripts' digits too.
    """
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise BadHex("not a quantity: expected 0x and 1 to 64 hex digits")
    number = int(value, 16)
    if number >> bits:
        raise BadHex(f"too large: at most {bits} bits")
    return number


def quantity(answer: object, bits: int) -> int:
    """The number a node answered, below 2**bits.

    Raises the node's RpcRefused when that came in its place, Unreadable when the answer cannot be read.
    """
    if isinstance(answer, RpcRefused):
        raise answer
    try:
        return parse_quantity(answer, bits)
    except BadHex:
        raise Unreadable("the node answered something that is not a number") from None
