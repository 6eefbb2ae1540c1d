"""Sign the heads of audit chains with a key of their own in the HSM, and never one that contradicts an earlier one.

Whoever keeps a signed head can prove later that the chain then was as it is now. That is worth something only because
the signer keeps its own record: it signs no position behind its newest, nor another hash at the same one.
"""

import secrets
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from asn1crypto.core import OctetString

from signer.audit_message import head_message
from signer.errors import AuditHeadRefused, ProtocolError, SignerUnavailable
from signer.hsm import Hsm
from signer.store import Store, StoredAuditHead, StoredAuditKey

ED25519_BYTES: Final = 32


@dataclass(frozen=True)
class SignedHead:
    """A signature over `head_message`, and when it was made (microseconds since 1970, the database's clock)."""

    kid: str
    signature: bytes
    signed_at_us: int


class AuditHeads:
    """The key that signs audit heads."""

    def __init__(self, hsm: Hsm, store: Store) -> None:
        self._hsm, self._store = hsm, store
        self._kid = ""
        self._key: Any = None

    async def open(self) -> None:
        """Load the current key, making the first; the caller sees to it that only one process does this."""
        kid = await self._current() or await self._make()
        self._key, self._kid = self._hsm.guarded(lambda: self._hsm.audit_key(kid)), kid

    async def sign(self, org_id: UUID, position: int, integrity_hash: str) -> SignedHead:
        """Record and sign a head; AuditHeadRefused when it lies behind the newest, or contradicts it."""
        try:
            head_message(org_id, position, integrity_hash, 0)
        except ValueError as error:
            raise ProtocolError(f"not a head: {error}") from None
        signed_at_us = await self._store.advance_audit_head(org_id, position, integrity_hash)
        if signed_at_us is None:
            raise AuditHeadRefused("an audit head beyond this one, or another one in its place, was signed before")
        message = head_message(org_id, position, integrity_hash, signed_at_us)
        signature = self._hsm.guarded(lambda: self._hsm.sign_eddsa(self._key, message))
        return SignedHead(self._kid, signature, signed_at_us)

    async def head(self, org_id: UUID) -> StoredAuditHead | None:
        """The newest head signed for an organisation."""
        return await self._store.audit_head(org_id)

    async def public_keys(self) -> list[StoredAuditKey]:
        """All keys a head may have been signed with, newest first."""
        return await self._store.audit_keys()

    async def _current(self) -> str | None:
        return next((key.kid for key in await self._store.audit_keys() if not key.retired), None)

    async def _make(self) -> str:
        kid = secrets.token_hex(8)
        point = self._hsm.guarded(lambda: self._hsm.new_audit_pair(kid))
        public_key = bytes(OctetString.load(point, strict=True).native)  # type: ignore[no-untyped-call]  # ships no types
        if len(public_key) != ED25519_BYTES:
            raise SignerUnavailable("the HSM returned a point that is not Ed25519")
        # a crash before this line leaves a pair in the token that nothing refers to
        await self._store.add_audit_key(kid, public_key)
        return kid
