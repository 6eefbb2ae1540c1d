"""The types a secret may have, and which values are signing keys. Pure."""

import re
from typing import Final

GENERIC: Final = "generic"
PRIVATE_KEY: Final = "private_key"
SSH_KEY: Final = "ssh_key"

TYPES: Final = frozenset(
    {
        "api_key",
        "password",
        PRIVATE_KEY,
        "certificate",
        "file",
        "note",
        SSH_KEY,
        "env_bundle",
        GENERIC,
        "env",
    }
)

# an agent that may sign by intent must not take the key along
CLOSED_TO_INTENTS: Final = frozenset({PRIVATE_KEY, SSH_KEY})

# SEC 2, section 2.4.1: the order n of secp256k1; a private key is a number from 1 to n-1
SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

_HEX_KEY = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})", re.ASCII)
_HEX = re.compile(r"(?:0[xX])?[0-9a-fA-F]*", re.ASCII)


def parse_signing_key(value: str) -> bytes | None:
    """The 32 bytes of a secp256k1 private key written as 64 hex digits (0x optional); None for anything else.

    White space around it is passed over: files end in a newline, and a key not recognised would stay readable.
    Never raises: an exception here would carry key material.
    """
    match = _HEX_KEY.fullmatch(value.strip())
    if match is None or not 0 < int(match[1], 16) < SECP256K1_ORDER:
        return None
    return bytes.fromhex(match[1])


def is_broken_key(value: str) -> bool:
    """Is this hex, but no key: cut short, too long, zero or above the order? Such a thing is never meant."""
    return _HEX.fullmatch(value.strip()) is not None and parse_signing_key(value) is None
