"""API keys [pure]: `ocv_` (agents) and `1ck_` (people) plus 43 characters of base64url, 32 random bytes.

Keys carry 256 bits of their own, so a plain SHA-256 keeps them safe at rest; Argon2 is for passwords only.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

AGENT = "ocv_"
PERSON = "1ck_"
PREFIX_LENGTH = 12

_FORM = re.compile(r"(?:ocv_|1ck_)[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True)
class NewKey:
    """A key that was just made: `text` is shown once, `prefix` and `digest` (SHA-256) are stored."""

    text: str = field(repr=False)
    prefix: str
    digest: bytes = field(repr=False)


def make_key(kind: str) -> NewKey:
    """A new key of a kind (AGENT or PERSON)."""
    text = kind + secrets.token_urlsafe(32)
    return NewKey(text, text[:PREFIX_LENGTH], digest_of(text))


def is_key(text: str) -> bool:
    """Whether the text has the form of a key of either kind."""
    return _FORM.fullmatch(text) is not None


def digest_of(text: str) -> bytes:
    """SHA-256 of the whole key."""
    return hashlib.sha256(text.encode()).digest()


def matches(text: str, digest: bytes) -> bool:
    """Whether a presented key is the stored one; the time taken says nothing about where they differ."""
    return hmac.compare_digest(digest_of(text), digest)
