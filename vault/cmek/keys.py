"""The customer's keys while a rotation needs them: in this process's memory, and nowhere else."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault.errors import bad_request

OLD_HEADER: Final = "X-CMEK-Old-Key"
NEW_HEADER: Final = "X-CMEK-New-Key"
KEY_BYTES: Final = 32


@dataclass(frozen=True)
class CustomerKey:
    """A key ready for use, and its name: the SHA-256 of its bytes. The bytes themselves are not kept."""

    cipher: AESGCM = field(repr=False)
    fingerprint: str


@dataclass(frozen=True)
class KeyPair:
    """From which key to which."""

    old: CustomerKey
    new: CustomerKey


def read_keys(old: str, new: str) -> KeyPair:
    """The keys of a request's two headers; 400 unless each is the base64 of 32 bytes."""
    return KeyPair(_read(OLD_HEADER, old), _read(NEW_HEADER, new))


def _read(header: str, text: str) -> CustomerKey:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        # `from None` by the way of leaving the handler first: no error quotes what came
        raise bad_request(f"{header}: must be the base64 of {KEY_BYTES} bytes")
    return CustomerKey(AESGCM(raw), hashlib.sha256(raw).hexdigest())
