"""JWTs: how we check them (EdDSA, RFC 8037; the signer makes them, `signer/token_order.py`)."""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signer.client import SignerClient
from signer.errors import SignerError
from signer.token_order import ISSUER, LONGEST_S
from vault.errors import unauthorized

MAX_TOKEN_CHARS = 16_384
MAX_REMEMBERED = 2_048
# how long after a rotation another process still takes a key that was to end at once
REFRESH_AFTER_S = 10.0
MIN_REFRESH_INTERVAL_S = 1.0
# the clocks of the signer and of an API process on another machine may differ by this much
CLOCK_SKEW_S = 60

_KINDS: dict[str, Literal["user", "agent"]] = {"user": "user", "agent": "agent"}


@dataclass(frozen=True)
class Claims:
    """What a genuine, unexpired token says; whether it still counts is for the database to say.

    `version` must equal the principal's `token_version`; `key_id` is the personal API key it was exchanged for.
    """

    kind: Literal["user", "agent"]
    principal_id: UUID
    org_id: UUID
    token_id: str
    expires_at: datetime
    version: int
    key_id: UUID | None


@dataclass(frozen=True)
class _Key:
    """A public key, and until when it counts if another has its place."""

    public: Ed25519PublicKey
    counts_until: datetime | None


class TokenVerifier:
    """Checks tokens against the signer's public keys, which it keeps and renews by itself.

    An unknown `kid` renews them at once, but at most once a second, so made-up ones cannot flood the signer.
    """

    def __init__(self, signer: SignerClient) -> None:
        self._signer = signer
        self._keys: dict[str, _Key] = {}
        self._checked: dict[bytes, tuple[str, Claims]] = {}
        self._renewed_at = float("-inf")
        self._asked_for_unknown_at = float("-inf")
        self._lock = asyncio.Lock()

    async def verify(self, token: str) -> Claims:
        """The claims of a genuine token; Problem 401 otherwise, SignerUnavailable if no key was ever had."""
        if len(token) > MAX_TOKEN_CHARS:
            raise unauthorized()
        # That a signature is good never changes, so it is checked once per token; everything that can change is
        # asked of the database on every request.
        digest = hashlib.sha256(token.encode()).digest()
        kid, claims = self._checked.get(digest) or (_kid_of(token), None)
        key = await self._key(kid)
        now = datetime.now(UTC)
        # asked on every request: the signer need not be there for a retired key to end in time
        if key is None or (key.counts_until is not None and key.counts_until <= now):
            raise unauthorized()
        if claims is None:
            claims = _decode(token, key.public)
            if len(self._checked) >= MAX_REMEMBERED:
                self._checked.clear()
            self._checked[digest] = (kid, claims)
        if claims.expires_at <= now:
            raise unauthorized()
        return claims

    async def _key(self, kid: str) -> _Key | None:
        if kid in self._keys and self._lock.locked():
            return self._keys[kid]  # somebody renews just now; a slow signer must not hold up what is known
        if self._is_old() or self._may_be_new(kid):
            async with self._lock:
                if self._is_old():
                    await self._renew()
                elif self._may_be_new(kid):
                    self._asked_for_unknown_at = time.monotonic()
                    await self._renew()
        return self._keys.get(kid)

    def _is_old(self) -> bool:
        return time.monotonic() - self._renewed_at > REFRESH_AFTER_S

    def _may_be_new(self, kid: str) -> bool:
        """Whether to ask the signer for a key that is not known: a rotation may have made it this moment.

        Made-up keys ask once a second at most, counted by themselves: that the keys were renewed a moment before the
        rotation is no reason to refuse the tokens that follow it.
        """
        return kid not in self._keys and time.monotonic() - self._asked_for_unknown_at > MIN_REFRESH_INTERVAL_S

    async def _renew(self) -> None:
        try:
            known = await self._signer.jwt_keys()
        except SignerError:
            if not self._keys:
                raise
            self._renewed_at = time.monotonic()  # the signer restarts: go on with what we have
            return
        self._keys = {
            key.kid: _Key(Ed25519PublicKey.from_public_bytes(key.public_key), key.counts_until) for key in known
        }
        self._checked.clear()  # a kid might mean another key now
        self._renewed_at = time.monotonic()


def _kid_of(token: str) -> str:
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except (jwt.InvalidTokenError, ValueError):
        raise unauthorized() from None
    if not isinstance(kid, str):
        raise unauthorized()
    return kid


def _decode(token: str, key: Ed25519PublicKey) -> Claims:
    try:
        # The algorithm and issuer are pinned here: a token never says how it wants to be checked.
        payload = jwt.decode(
            token,
            key,
            algorithms=["EdDSA"],
            issuer=ISSUER,
            options={"require": ["exp", "iat", "sub", "jti", "iss", "org", "ver"], "verify_iat": False},
        )
        return _read(payload)
    except (jwt.InvalidTokenError, ValueError, KeyError, TypeError, OverflowError):
        raise unauthorized() from None


def _read(payload: dict[str, Any]) -> Claims:
    # A key that somebody copied signs what he likes. No token of ours lives longer, so none of his does, nor begins
    # later; and with the key retired, all of them end with it.
    if not 0 < payload["exp"] - payload["iat"] <= LONGEST_S or payload["iat"] > time.time() + CLOCK_SKEW_S:
        raise ValueError("a lifetime that no token of ours has")
    kind, _, principal_id = str(payload["sub"]).partition(":")
    if kind not in _KINDS:
        raise ValueError("unknown kind of subject")
    return Claims(
        kind=_KINDS[kind],
        principal_id=UUID(principal_id),
        org_id=UUID(payload["org"]),
        token_id=str(payload["jti"]),
        expires_at=datetime.fromtimestamp(payload["exp"], tz=UTC),
        version=int(payload["ver"]),
        key_id=UUID(payload["key"]) if "key" in payload else None,
    )
