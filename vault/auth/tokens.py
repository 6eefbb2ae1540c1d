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
from signer.errors import SignerError, SignerUnavailable
from signer.token_order import ISSUER, LONGEST_S
from vault.errors import unauthorized, unavailable

MAX_TOKEN_CHARS = 16_384
MAX_REMEMBERED = 2_048
# how long after a rotation another process still takes a key that was to end at once
REFRESH_AFTER_S = 10.0
MIN_REFRESH_INTERVAL_S = 1.0
# tokens of unknown keys that wait for the signer to be asked: anybody can make one up
MAX_WAITING = 64
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

    A token whose `kid` is not known waits until they were asked for once more, for a rotation may have made it this
    moment. That is done once a second at most, for all that wait together, so made-up ones cannot flood the signer.
    """

    def __init__(self, signer: SignerClient) -> None:
        self._signer = signer
        self._keys: dict[str, _Key] = {}
        self._checked: dict[bytes, tuple[str, Claims]] = {}
        self._renewed_at = float("-inf")
        self._asked_for_unknown_at = float("-inf")
        # when the signer was last asked of those times that it answered or failed, and whether it answered
        self._asked_at = float("-inf")
        self._was_told = False
        self._unknown: set[bytes] = set()
        self._waiting = 0
        self._lock = asyncio.Lock()

    async def verify(self, token: str, *, may_wait: bool = True) -> Claims:
        """The claims of a genuine token; Problem 401 otherwise.

        SignerUnavailable when the signer was needed and did not say; Problem 503 when too many wait to ask it, or
        this one would have to and may not.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise unauthorized()
        # That a signature is good never changes, so it is checked once per token; everything that can change is
        # asked of the database on every request.
        digest = hashlib.sha256(token.encode()).digest()
        kid, claims = self._checked.get(digest) or (_kid_of(token), None)
        key = await self._key(kid, may_wait)
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

    async def _key(self, kid: str, may_wait: bool) -> _Key | None:
        if kid not in self._keys:
            await self._look_for(kid, may_wait)
        elif self._is_old() and not self._lock.locked():
            # otherwise somebody renews just now; a slow signer must not hold up what is known
            async with self._lock:
                if self._is_old():
                    await self._renew()
        return self._keys.get(kid)

    def _is_old(self) -> bool:
        return time.monotonic() - self._renewed_at > REFRESH_AFTER_S

    async def _look_for(self, kid: str, may_wait: bool) -> None:
        """Have the keys asked for once after this moment; no connection of the database is held meanwhile."""
        since = time.monotonic()
        digest = hashlib.sha256(kid.encode(errors="surrogatepass")).digest()
        if digest in self._unknown:
            return
        must_wait = self._lock.locked() or self._wait_s() > 0
        # without any key, everybody waits for the first answer
        if self._keys and (self._waiting >= MAX_WAITING or (must_wait and not may_wait)):
            raise unavailable("Too many tokens of unknown keys at the moment", retry_after_s=1)
        self._waiting += 1
        try:
            async with self._lock:
                # who waited for the lock takes what the one before got, if it was asked for late enough
                if self._asked_at < since and kid not in self._keys:
                    await asyncio.sleep(self._wait_s())
                    if not self._is_old():
                        self._asked_for_unknown_at = time.monotonic()
                    await self._renew()
        finally:
            self._waiting -= 1
        if kid in self._keys:
            return
        # not being told is no proof that there is no such key
        if not self._was_told:
            raise SignerUnavailable("the signer did not say which keys there are")
        # a key is there before its first token is: what was no key's when it came never will be
        if len(self._unknown) >= MAX_REMEMBERED:
            self._unknown.clear()
        self._unknown.add(digest)

    def _wait_s(self) -> float:
        """How long the signer may not be asked for an unknown key, in seconds.

        What others asked for is counted by itself: that the keys were renewed a moment before the rotation is no
        reason to let the tokens that follow it wait.
        """
        due_at = min(self._asked_for_unknown_at + MIN_REFRESH_INTERVAL_S, self._renewed_at + REFRESH_AFTER_S)
        return max(0.0, due_at - time.monotonic())

    async def _renew(self) -> None:
        began_at = time.monotonic()
        try:
            known = await self._signer.jwt_keys()
        except SignerError:
            self._was_told = False
            if self._keys:
                self._renewed_at = time.monotonic()  # the signer restarts: go on with what we have
        else:
            self._was_told = True
            self._keys = {
                key.kid: _Key(Ed25519PublicKey.from_public_bytes(key.public_key), key.counts_until) for key in known
            }
            self._checked.clear()  # a kid might mean another key now
            self._renewed_at = time.monotonic()
        self._asked_at = began_at


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
