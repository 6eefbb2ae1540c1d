"""What clients make of a value with their own key: base64 of version byte 1, nonce, AES-256-GCM ciphertext and tag.

The form of the TypeScript SDK. Others exist (the Go SDK writes hex without a version byte); nothing here reads them.
"""

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT: Final = b"\x01"
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


def decrypt(cipher: AESGCM, blob: bytes) -> bytes | None:
    """The plaintext; None when the blob is of another form or was not encrypted with this key."""
    try:
        raw = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not raw.startswith(FORMAT) or len(raw) < len(FORMAT) + NONCE_BYTES + TAG_BYTES:
        return None
    nonce_end = len(FORMAT) + NONCE_BYTES
    try:
        return cipher.decrypt(raw[len(FORMAT) : nonce_end], raw[nonce_end:], None)
    except InvalidTag:
        return None


def encrypt(cipher: AESGCM, plaintext: bytes) -> bytes:
    """A blob with a nonce of its own."""
    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(FORMAT + nonce + cipher.encrypt(nonce, plaintext, None))
