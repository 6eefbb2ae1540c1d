"""A client that encrypts before it sends, as the TypeScript SDK does it, written without the product's code."""

import base64
import hashlib
import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


@dataclass(frozen=True)
class Key:
    """A customer's key as the customer holds it."""

    raw: bytes = field(default_factory=lambda: os.urandom(32))

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def header(self) -> str:
        return base64.b64encode(self.raw).decode()

    def encrypt(self, text: str) -> str:
        nonce = os.urandom(12)
        return base64.b64encode(b"\x01" + nonce + AESGCM(self.raw).encrypt(nonce, text.encode(), None)).decode()

    def decrypt(self, blob: str) -> str:
        raw = base64.b64decode(blob)
        assert raw[0] == 1
        return AESGCM(self.raw).decrypt(raw[1:13], raw[13:], None).decode()

    def decrypts(self, blob: str) -> str | None:
        """The text, or None when it is under another key."""
        try:
            return self.decrypt(blob)
        except InvalidTag:
            return None


def headers(old: Key, new: Key) -> dict[str, str]:
    return {"X-CMEK-Old-Key": old.header, "X-CMEK-New-Key": new.header}
