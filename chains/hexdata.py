"""Byte strings as JSON-RPC writes them: `0x` and an even number of hex digits. [pure]"""

import re

from chains.errors import BadHex

_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


def parse_data(text: str | None, max_bytes: int) -> bytes:
    """The bytes of 0x-prefixed hex text; None is no data.

    BadHex without the prefix, for an odd number of digits, for other characters, or above `max_bytes` bytes.
    """
    if text is None:
        return b""
    if len(text) > 2 + 2 * max_bytes:
        raise BadHex(f"too long: at most {max_bytes} bytes")
    if not _HEX.fullmatch(text):
        raise BadHex("not hex data: expected 0x and an even number of hex digits")
    return bytes.fromhex(text[2:])


def format_data(data: bytes) -> str:
    """0x-prefixed lower-case hex."""
    return f"0x{data.hex()}"
