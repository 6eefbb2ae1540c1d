"""Issue JWTs (RFC 7519, EdDSA by RFC 8037), signed with a key that never leaves the HSM.

Only the compact serialisation is put together here; every check of a token is made elsewhere by a JWT library.
"""

import base64
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from asn1crypto.core import OctetString

from signer.errors import ProtocolError, RotatedJustNow, SignerUnavailable, TokenTooLarge
from signer.hsm import Hsm
from signer.store import Store, StoredJwtKey
from signer.token_order import TokenOrder, claims_of

# as base64 with header and signature this stays below the 16,384 characters that a verifier takes
MAX_CLAIMS_BYTES: Final = 12_000
# every rotation leaves a pair in the token: no caller may fill it
MIN_ROTATION_INTERVAL_S: Final = 10.0


@dataclass(frozen=True)
class Issued:
    """A token and its id (`jti`)."""

    token: str = field(repr=False)
    token_id: UUID


class Tokens:
    """The current token-signing key and its predecessors."""

    def __init__(self, hsm: Hsm, store: Store) -> None:
        self._hsm, self._store = hsm, store
        self._kid: str | None = None
        self._key: Any = None
        self._rotated_at = float("-inf")

    async def open(self) -> None:
        """Load the current key, making the first; the caller sees to it that only one process does this."""
        if not await self._current():
            await self._make()
        await self.refresh()

    async def rotate(self, *, at_once: bool) -> str:
        """A new key for all tokens from now on; returns its kid.

        The ones before still verify what they have signed, for as long as a token may live; `at_once`, for a key that
        somebody may have copied, they are forgotten, and with them every token that is out.
        """
        if time.monotonic() - self._rotated_at < MIN_ROTATION_INTERVAL_S:
            raise RotatedJustNow("the token-signing key was rotated a moment ago")
        kid = await self._make(ends_others=at_once)
        self._rotated_at = time.monotonic()
        await self.refresh()
        return kid

    async def refresh(self) -> None:
        """Take over a key that another signer has made current."""
        current = await self._current()
        if current is not None and current.kid != self._kid:
            kid = current.kid
            self._key, self._kid = self._hsm.guarded(lambda: self._hsm.jwt_key(kid)), kid

    async def public_keys(self) -> list[StoredJwtKey]:
        """All keys a token may have been signed with, newest first."""
        return await self._store.jwt_keys()

    def issue(self, order: TokenOrder) -> Issued:
        """A token as ordered, from now on: a compact JWS with the key's `kid`."""
        token_id = uuid4()
        return Issued(self._sign(claims_of(order, int(time.time()), token_id)), token_id)

    def _sign(self, claims: dict[str, Any]) -> str:
        try:
            body = orjson.dumps(claims)
        except orjson.JSONEncodeError:
            raise ProtocolError("claims that are not JSON") from None
        if len(body) > MAX_CLAIMS_BYTES:
            raise TokenTooLarge("the token would say too much")
        header = orjson.dumps({"alg": "EdDSA", "typ": "JWT", "kid": self._kid})
        message = _base64url(header) + b"." + _base64url(body)
        signature = self._hsm.guarded(lambda: self._hsm.sign_eddsa(self._key, message))
        return (message + b"." + _base64url(signature)).decode()

    async def _current(self) -> StoredJwtKey | None:
        return next((key for key in await self._store.jwt_keys() if key.retired_at_us is None), None)

    async def _make(self, *, ends_others: bool = False) -> str:
        kid = secrets.token_hex(8)
        point = self._hsm.guarded(lambda: self._hsm.new_jwt_pair(kid))
        public_key = bytes(OctetString.load(point, strict=True).native)  # type: ignore[no-untyped-call]  # ships no types
        if len(public_key) != 32:
            raise SignerUnavailable("the HSM returned a point that is not Ed25519")
        # a crash before this line leaves a pair in the token that nothing refers to
        await self._store.add_jwt_key(kid, public_key, ends_others=ends_others)
        return kid


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
