"""Sign JWTs (RFC 7519, EdDSA by RFC 8037) with a key that never leaves the HSM.

Only the compact serialisation is put together here; every check of a token is made elsewhere by a JWT library.
"""

import base64
import secrets
import time
from typing import Any, Final

import orjson
from asn1crypto.core import OctetString

from signer.errors import ProtocolError, SignerUnavailable
from signer.hsm import Hsm
from signer.store import Store, StoredJwtKey

MAX_CLAIMS_BYTES: Final = 16 * 1024
# every rotation leaves a pair in the token: no caller may fill it
MIN_ROTATION_INTERVAL_S: Final = 10.0


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

    async def rotate(self) -> str:
        """A new key for all tokens from now on; the old ones still verify. Returns its kid."""
        if time.monotonic() - self._rotated_at < MIN_ROTATION_INTERVAL_S:
            raise SignerUnavailable("the token-signing key was rotated a moment ago")
        kid = await self._make()
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

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWS of the claims, with the key's `kid`."""
        try:
            body = orjson.dumps(claims)
        except orjson.JSONEncodeError:
            raise ProtocolError("claims that are not JSON") from None
        if len(body) > MAX_CLAIMS_BYTES:
            raise ProtocolError("the claims are too large")
        header = orjson.dumps({"alg": "EdDSA", "typ": "JWT", "kid": self._kid})
        message = _base64url(header) + b"." + _base64url(body)
        signature = self._hsm.guarded(lambda: self._hsm.sign_eddsa(self._key, message))
        return (message + b"." + _base64url(signature)).decode()

    async def _current(self) -> StoredJwtKey | None:
        return next((key for key in await self._store.jwt_keys() if not key.retired), None)

    async def _make(self) -> str:
        kid = secrets.token_hex(8)
        point = self._hsm.guarded(lambda: self._hsm.new_jwt_pair(kid))
        public_key = bytes(OctetString.load(point, strict=True).native)  # type: ignore[no-untyped-call]  # ships no types
        if len(public_key) != 32:
            raise SignerUnavailable("the HSM returned a point that is not Ed25519")
        # a crash before this line leaves a pair in the token that nothing refers to
        await self._store.add_jwt_key(kid, public_key)
        return kid


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
