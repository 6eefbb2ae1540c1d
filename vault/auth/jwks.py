"""JWTs of other issuers (OpenID Connect): checked against keys that are fetched from them and kept for a while.

Which issuers count is the operator's choice alone; a token never says where its keys are.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urlsplit

import httpx
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from fastapi import Request

from vault.errors import unauthorized, unavailable

FETCH_TIMEOUT_S = 5.0
MAX_BODY_BYTES = 256 * 1024
MAX_KEYS = 100
MAX_TOKEN_CHARS = 16_384
KEEP_S = 300.0
REFETCH_INTERVAL_S = 10.0
RETRY_INTERVAL_S = 2.0
LEEWAY_S = 30
MIN_RSA_BITS = 2048

_REQUIRED = ["exp", "iat", "iss", "aud"]
_INVALID = "The identity provider's token is not valid here"
_UNREACHABLE = "The identity provider's keys cannot be had at the moment"

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
Value = TypeVar("Value")


class _FetchError(Exception):
    """A document could not be had, or is not what it should be."""


@dataclass(frozen=True)
class _Key:
    """A public key and the algorithms that fit it: what the token claims never widens them."""

    kid: str | None
    public: PublicKey
    algorithms: tuple[str, ...]


@dataclass
class _Kept(Generic[Value]):
    """A document of one URL; times are monotonic seconds. The lock makes concurrent fetches one."""

    value: Value | None = None
    fetched_at: float = float("-inf")
    failed_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Jwks:
    """One per application: the fetched keys and discovery documents."""

    def __init__(self) -> None:
        self._keys: dict[str, _Kept[tuple[_Key, ...]]] = {}
        self._discovered: dict[str, _Kept[str]] = {}

    async def verify(
        self, token: str, *, jwks_url: str, issuers: Collection[str], audiences: Collection[str]
    ) -> dict[str, Any]:
        """The claims of a genuine, current token of one of `issuers` for one of `audiences`.

        Problem 401 for anything wrong with it, 503 when the keys cannot be had. exp and iat come in whole seconds.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise unauthorized(_INVALID)
        kid, algorithm = _header(token)
        key = _choose(await self._keys_at(jwks_url), kid, algorithm)
        if key is None:
            key = _choose(await self._keys_at(jwks_url, is_stale=True), kid, algorithm)
        if key is None:
            raise unauthorized(_INVALID)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=list(key.algorithms),
                issuer=list(issuers),
                audience=list(audiences),
                leeway=LEEWAY_S,
                options={"require": _REQUIRED, "enforce_minimum_key_length": True},
            )
            # NumericDate may be a fraction, and pyjwt takes text, too: callers get whole seconds that fit a calendar
            claims |= {name: int(claims[name]) for name in ("exp", "iat")}
            datetime.fromtimestamp(claims["exp"], UTC)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError, RecursionError):
            raise unauthorized(_INVALID) from None
        return claims

    async def discover(self, issuer: str) -> str:
        """Where an issuer publishes its keys (OpenID Connect Discovery 1.0); Problem 503 when it does not say."""

        async def ask() -> str:
            document = await _fetch(issuer.rstrip("/") + "/.well-known/openid-configuration")
            return _jwks_uri(document, issuer)

        return await _renewed(self._discovered.setdefault(issuer, _Kept()), ask)

    async def _keys_at(self, url: str, *, is_stale: bool = False) -> tuple[_Key, ...]:
        async def ask() -> tuple[_Key, ...]:
            return _parse_keys(await _fetch(url))

        return await _renewed(self._keys.setdefault(url, _Kept()), ask, is_stale=is_stale)


def jwks_of(request: Request) -> Jwks:
    """The application's fetched keys, made on first use."""
    state = request.app.state
    if not hasattr(state, "jwks"):
        state.jwks = Jwks()
    return cast(Jwks, state.jwks)


async def _renewed(kept: _Kept[Value], ask: Callable[[], Awaitable[Value]], *, is_stale: bool = False) -> Value:
    """The value, asked for anew when it is old (`is_stale`: when it is older than a moment)."""
    if _is_due(kept, is_stale):
        async with kept.lock:
            # who waited for the lock takes what the one before got
            if _is_due(kept, is_stale):
                try:
                    kept.value = await ask()
                    kept.fetched_at = time.monotonic()
                except _FetchError:
                    kept.failed_at = time.monotonic()
    # a key that its issuer took back must not count for longer because the issuer cannot be reached
    if kept.value is None or time.monotonic() - kept.fetched_at > KEEP_S:
        raise unavailable(_UNREACHABLE)
    return kept.value


def _is_due(kept: _Kept[Value], is_stale: bool) -> bool:
    """Whether to ask now; a dead issuer is not asked by every request, nor a live one for every made-up key."""
    now = time.monotonic()
    if is_stale:
        return now - max(kept.fetched_at, kept.failed_at) > REFETCH_INTERVAL_S
    return now - kept.fetched_at > KEEP_S and now - kept.failed_at > RETRY_INTERVAL_S


async def _fetch(url: str) -> dict[str, Any]:
    """A JSON object over HTTP, bounded in time and size, without redirects; _FetchError otherwise."""
    try:
        # the whole exchange is bounded, not only each read of it
        async with (
            asyncio.timeout(FETCH_TIMEOUT_S),
            # the system's authorities, as everywhere else here, not those that the library brings
            httpx.AsyncClient(
                timeout=FETCH_TIMEOUT_S, follow_redirects=False, trust_env=False, verify=ssl.create_default_context()
            ) as http,
            # no compression: a small body must not become a large one
            http.stream("GET", url, headers={"Accept": "application/json", "Accept-Encoding": "identity"}) as answer,
        ):
            if answer.status_code != 200:
                raise _FetchError
            body = bytearray()
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _FetchError
        # bounds its depth by itself, whatever the interpreter's limit is
        document = orjson.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        raise _FetchError from None
    if not isinstance(document, dict):
        raise _FetchError
    return document


def _jwks_uri(document: dict[str, Any], issuer: str) -> str:
    uri = document.get("jwks_uri")
    if document.get("issuer") != issuer or not isinstance(uri, str):
        raise _FetchError
    try:
        scheme = urlsplit(uri).scheme
    except ValueError:
        raise _FetchError from None
    # an issuer reached over TLS does not send us to keys that anybody on the way could exchange
    if scheme != "https" and not (scheme == "http" and urlsplit(issuer).scheme == "http"):
        raise _FetchError
    return uri


def _parse_keys(document: dict[str, Any]) -> tuple[_Key, ...]:
    """The keys that can check signatures; those of other kinds, and broken ones, are passed over."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise _FetchError
    parsed = (_parse_key(each) for each in listed[:MAX_KEYS] if isinstance(each, dict))
    return tuple(key for key in parsed if key is not None)


def _parse_key(each: dict[str, Any]) -> _Key | None:
    kid = each.get("kid")
    if each.get("use", "sig") != "sig" or not (kid is None or isinstance(kid, str)):
        return None
    operations = each.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    try:
        public = jwt.PyJWK.from_dict(each).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    algorithms = _algorithms(public)
    if "alg" in each:
        algorithms = tuple(name for name in algorithms if name == each["alg"])
    return _Key(kid, public, algorithms) if algorithms else None


def _algorithms(public: object) -> tuple[str, ...]:
    """The algorithms of a key's type; none for a symmetric key, a private one, a weak one or another curve."""
    if isinstance(public, RSAPublicKey) and public.key_size >= MIN_RSA_BITS:
        return ("RS256", "PS256")
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return ("ES256",)
    if isinstance(public, Ed25519PublicKey):
        return ("EdDSA",)
    return ()


def _header(token: str) -> tuple[str | None, str]:
    """The key's id and algorithm that a token claims; only used to choose among the issuer's keys."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise unauthorized(_INVALID) from None
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(algorithm, str) or not (kid is None or isinstance(kid, str)) or "crit" in header:
        raise unauthorized(_INVALID)
    return kid, algorithm


def _choose(keys: tuple[_Key, ...], kid: str | None, algorithm: str) -> _Key | None:
    """The key of this id that fits the algorithm; a token without an id needs an issuer with one such key."""
    fitting = [key for key in keys if algorithm in key.algorithms and kid in (None, key.kid)]
    return fitting[0] if len(fitting) == 1 else None
