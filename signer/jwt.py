"""Sign JWTs (RFC 7519, EdDSA by RFC 8037) with a key that never leaves the HSM.

Only the compact serialisation is put together here; every check of a token is made elsewhere by a JWT library.
"""

import base64
import secrets
from typing import Any

import orjson
from asn1crypto.core import OctetString

from signer.errors import ProtocolError
from signer.hsm import Hsm
from signer.store import Store

MAX_CLAIMS_BYTES = 16 * 1024


class Tokens:
    """The current token-signing key and its predecessors."""

    def __init__(self, hsm: Hsm, store: Store) -> None:
        self._hsm, self._store = hsm, store
        self._kid: str | None = None
        self._key: Any = None

    def open(self) -> None:
        """Load the current key, making the first; the caller sees to it that only one process does this."""
        if not any(not retired for _, _, retired in self._store.jwt_keys()):
            self.rotate()
        else:
            self._load()

    def rotate(self) -> str:
        """A new key for all tokens from now on; the old ones still verify. Returns its kid."""
        kid = secrets.token_hex(8)
        point = self._hsm.guarded(lambda: self._hsm.new_jwt_pair(kid))
        public_key = bytes(OctetString.load(point, strict=True).native)
        if len(public_key) != 32:
            raise ProtocolError("the HSM returned a point that is not Ed25519")
        self._store.add_jwt_key(kid, public_key)
        self._load()
        return kid

    def _load(self) -> None:
        kid = next(kid for kid, _, retired in self._store.jwt_keys() if not retired)
        self._key = self._hsm.guarded(lambda: self._hsm.jwt_key(kid))
        self._kid = kid

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWS of the claims, with the key's `kid`."""
        body = orjson.dumps(claims)
        if len(body) > MAX_CLAIMS_BYTES:
            raise ProtocolError("the claims are too large")
        header = orjson.dumps({"alg": "EdDSA", "typ": "JWT", "kid": self._kid})
        message = _base64url(header) + b"." + _base64url(body)
        signature = self._hsm.guarded(lambda: self._hsm.sign_eddsa(self._key, message))
        return (message + b"." + _base64url(signature)).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
