"""Sign the heads of audit chains with a key of their own in the HSM, and never one that contradicts an earlier one.

Whoever keeps a signed head can prove later that the chain then was as it is now. That is worth something only because
the signer keeps its own record, signs no position behind its newest nor another hash at the same one, and believes no
hash it is handed: it goes along the seals from its newest head on and recomputes each from its event.
"""

import secrets
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from asn1crypto.core import OctetString

from signer.audit_chain import Seal, walk
from signer.audit_message import head_message
from signer.errors import AuditHeadRefused, SignerUnavailable
from signer.hsm import Hsm
from signer.store import Store, StoredAuditHead, StoredAuditKey

ED25519_BYTES: Final = 32
# hashed in one go, while no signature is made: a few milliseconds
BATCH: Final = 200
MAX_REACHED: Final = 1_000


@dataclass(frozen=True)
class Advanced:
    """How far an organisation's heads reach now, whether the chain goes on behind, and seals that do not fit."""

    position: int
    is_more: bool
    faults: int


class AuditHeads:
    """The key that signs audit heads, and how far each chain was looked at."""

    def __init__(self, hsm: Hsm, store: Store) -> None:
        self._hsm, self._store = hsm, store
        self._kid = ""
        self._key: Any = None
        # behind seals that do not fit, where no head can be; lost with the process, and found again
        self._reached: dict[UUID, Seal] = {}

    async def open(self) -> None:
        """Load the current key, making the first; the caller sees to it that only one process does this."""
        kid = await self._current() or await self._make()
        self._key, self._kid = self._hsm.guarded(lambda: self._hsm.audit_key(kid)), kid

    async def advance(self, org_id: UUID) -> Advanced:
        """Look at the next seals of a chain and sign the newest that fits its event and what lies before it.

        AuditHeadRefused when the chain ends before the newest head, says something else there, or has a hole.
        """
        newest = await self._store.audit_head(org_id)
        last = await self._seal_of(org_id, newest)
        if newest is not None and not await self._store.audit.has_head(org_id, newest.position):
            await self._sign(org_id, newest.position, newest.integrity_hash)  # it was recorded, and then we died
        reached = self._reached.pop(org_id, None)
        if reached is not None and reached.position > (last.position if last else 0):
            last = reached
        found = await self._store.audit.seals(org_id, last.position if last else 0, BATCH)
        walked = walk(org_id, last, found)
        position = newest.position if newest else 0
        if walked.proven is not None:
            await self._sign(org_id, walked.proven.position, walked.proven.integrity_hash)
            position = walked.proven.position
        elif walked.has_hole:
            raise AuditHeadRefused("a position is missing in the audit chain")
        if walked.last is not None and walked.last.position > position:
            self._remember(org_id, walked.last)
        return Advanced(position, len(found) == BATCH and not walked.has_hole, walked.faults)

    async def _seal_of(self, org_id: UUID, newest: StoredAuditHead | None) -> Seal | None:
        if newest is None:
            return None
        last = await self._store.audit.seal(org_id, newest.position)
        if last is None or last.integrity_hash != newest.integrity_hash:
            raise AuditHeadRefused("the audit chain was cut or rewritten: another head was signed before")
        return last

    async def _sign(self, org_id: UUID, position: int, integrity_hash: str) -> None:
        signed_at_us = await self._store.advance_audit_head(org_id, position, integrity_hash)
        if signed_at_us is None:
            return  # another signer was faster, and is further
        message = head_message(org_id, position, integrity_hash, signed_at_us)
        signature = self._hsm.guarded(lambda: self._hsm.sign_eddsa(self._key, message))
        await self._store.audit.add_head(org_id, position, integrity_hash, self._kid, signature, signed_at_us)

    def _remember(self, org_id: UUID, last: Seal) -> None:
        if len(self._reached) >= MAX_REACHED:
            self._reached.clear()
        self._reached[org_id] = last

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
