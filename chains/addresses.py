"""Addresses: 20 bytes inside, EIP-55 text outside. [pure]"""

import re

from eth_utils.address import to_checksum_address

from chains.errors import BadAddress

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)


def parse_address(text: str) -> bytes:
    """The 20 bytes of an address.

    Takes `0x` and 40 hex digits, all lower or all upper case, or mixed case with a correct checksum (EIP-55);
    BadAddress for anything else. There is no implicit member: the zero address is an address like any other.
    """
    if not _ADDRESS.fullmatch(text):
        raise BadAddress("not an address: expected 0x and 40 hex digits")
    digits = text[2:]
    address = bytes.fromhex(digits)
    if digits not in (digits.lower(), digits.upper()) and text != format_address(address):
        raise BadAddress("wrong checksum (EIP-55): mixed case, but not that of this address; a digit may be mistyped")
    return address


def format_address(address: bytes) -> str:
    """EIP-55 text of a 20-byte address; BadAddress for any other length."""
    if len(address) != 20:
        raise BadAddress(f"not an address: {len(address)} bytes instead of 20")
    return to_checksum_address(address)
