"""Seal and open secrets: one data key per secret, wrapped by its vault's key; both only ever inside the HSM.

Sealed form: version byte 1, vault key version (4 bytes), length of the wrapped data key (2 bytes), the wrapped data
key, nonce (12 bytes), AES-256-GCM ciphertext and tag. Associated data: the vault's id, everything before the nonce,
and `context`. A blob moved to another vault, path or version does not open.
"""

from collections import OrderedDict
from typing import Any, Final
from uuid import UUID

from pkcs11 import Attribute
from pkcs11.exceptions import PKCS11Error

from signer.errors import KeyNotFound, SealBroken, SignerUnavailable
from signer.hsm import DEK, GCM_NONCE_BYTES, GCM_TAG_BITS, KEK, Hsm
from signer.store import Store

FORMAT: Final = 1
HEADER_BYTES: Final = 7
# RFC 5649: what is wrapped, padded to eight bytes, and eight more
MIN_WRAPPED_BYTES: Final = 16
LOADED_VAULT_KEYS: Final = 1_000

_WRAPS = {Attribute.WRAP: True, Attribute.UNWRAP: True, Attribute.ENCRYPT: False, Attribute.DECRYPT: False}
_SEALS = {Attribute.WRAP: False, Attribute.UNWRAP: False, Attribute.ENCRYPT: True, Attribute.DECRYPT: False}


class Seals:
    """The vaults' key-encryption keys and what is done with them."""

    def __init__(self, hsm: Hsm, store: Store) -> None:
        self._hsm, self._store = hsm, store
        self._loaded: OrderedDict[tuple[UUID, int], Any] = OrderedDict()

    async def create_vault_key(self, vault_id: UUID) -> None:
        """Make the vault's first key unless it has one."""
        if await self._store.vault_key(vault_id) is None:
            await self._add_vault_key(vault_id, 1)

    async def rotate_vault_key(self, vault_id: UUID, version: int) -> int:
        """See to it that the vault has a key of this version; KeyNotFound unless it has the one before.

        Asked again for the same version nothing happens. Returns the newest version, under which every signer
        seals from now on. Older keys stay: they open what was sealed under them.
        """
        found = await self._store.vault_key(vault_id)
        if found is None or not 1 < version <= found[0] + 1:
            raise KeyNotFound("the vault has no key that this one could follow")
        if version <= found[0]:
            return found[0]
        await self._add_vault_key(vault_id, version)
        return version

    async def _add_vault_key(self, vault_id: UUID, version: int) -> None:
        newborn = self._hsm.guarded(lambda: self._hsm.newborn_aes_key(_WRAPS))
        try:
            wrapped = self._hsm.guarded(lambda: self._hsm.wrap(self._hsm.roots.vault, newborn))
        finally:
            self._hsm.guarded(newborn.destroy)
        # proven before it is relied on
        self._hsm.guarded(self._unwrap(wrapped).destroy)
        # another signer may have been faster: its key stands
        await self._store.add_vault_key(vault_id, version, wrapped)

    async def seal(self, vault_id: UUID, context: bytes, plaintext: bytes, version: int | None = None) -> bytes:
        """Encrypt under a fresh data key of its own; KeyNotFound for a vault without a key.

        The newest is asked for every time, so that a rotation counts at once in every signer.
        """
        version, kek = await self._vault_key(vault_id, version)
        newborn = self._hsm.guarded(lambda: self._hsm.newborn_aes_key(_SEALS))
        try:
            wrapped = self._hsm.guarded(lambda: self._hsm.wrap(kek, newborn))
            header = bytes([FORMAT]) + version.to_bytes(4, "big") + len(wrapped).to_bytes(2, "big") + wrapped
            nonce = self._hsm.guarded(lambda: self._hsm.random(GCM_NONCE_BYTES))
            bound = _bound(vault_id, header, context)
            ciphertext = self._hsm.guarded(lambda: self._hsm.encrypt(newborn, nonce, bound, plaintext))
        finally:
            self._hsm.guarded(newborn.destroy)
        return header + nonce + ciphertext

    async def open(self, vault_id: UUID, context: bytes, sealed: bytes) -> bytes:
        """Decrypt; SealBroken unless it was sealed for this vault and context and is unchanged."""
        if len(sealed) < HEADER_BYTES or sealed[0] != FORMAT:
            raise SealBroken("not a sealed secret of a known form")
        version = int.from_bytes(sealed[1:5], "big")
        end = HEADER_BYTES + int.from_bytes(sealed[5:7], "big")
        header, nonce, ciphertext = sealed[:end], sealed[end : end + GCM_NONCE_BYTES], sealed[end + GCM_NONCE_BYTES :]
        if end < HEADER_BYTES + MIN_WRAPPED_BYTES or len(ciphertext) < GCM_TAG_BITS // 8:
            raise SealBroken("a sealed secret that was cut short")
        try:
            _, kek = await self._vault_key(vault_id, version)
        except KeyNotFound:
            raise SealBroken("sealed under a key that the vault does not have") from None
        try:
            key = self._hsm.unwrap(kek, header[HEADER_BYTES:], DEK)
            try:
                return self._hsm.decrypt(key, nonce, _bound(vault_id, header, context), ciphertext)
            finally:
                key.destroy()
        except PKCS11Error as error:
            # tokens answer a wrong tag with whatever they like: trouble is told apart by asking the token itself
            if self._hsm.examine():
                raise SealBroken("the secret was not sealed for this place, or was changed") from None
            raise SignerUnavailable(f"the HSM failed ({type(error).__name__})") from None

    async def rewrap(self, vault_id: UUID, context: bytes, sealed: bytes, version: int) -> bytes:
        """What was sealed under an older key, sealed under this one; as it is if that was done already.

        The data key's wrapping is bound into the ciphertext's tag, so the value is sealed anew, with a fresh data
        key; it never leaves this process. SealBroken when it does not open.
        """
        if len(sealed) >= HEADER_BYTES and int.from_bytes(sealed[1:5], "big") >= version:
            return sealed
        return await self.seal(vault_id, context, await self.open(vault_id, context, sealed), version)

    async def _vault_key(self, vault_id: UUID, version: int | None) -> tuple[int, Any]:
        if version is not None and (vault_id, version) in self._loaded:
            self._loaded.move_to_end((vault_id, version))
            return version, self._loaded[vault_id, version]
        # the number comes from outside here; PostgreSQL's integer ends earlier
        if version is not None and not 0 < version < 2**31:
            raise KeyNotFound("the vault has no such key")
        found = await self._store.vault_key(vault_id, version)
        if found is None:
            raise KeyNotFound("the vault has no such key")
        newest, wrapped = found
        if (vault_id, newest) not in self._loaded:
            self._loaded[vault_id, newest] = self._unwrap(wrapped)
            if len(self._loaded) > LOADED_VAULT_KEYS:
                _, oldest = self._loaded.popitem(last=False)
                self._hsm.guarded(oldest.destroy)
        return newest, self._loaded[vault_id, newest]

    def _unwrap(self, wrapped: bytes) -> Any:
        return self._hsm.guarded(lambda: self._hsm.unwrap(self._hsm.roots.vault, wrapped, KEK))


def _bound(vault_id: UUID, header: bytes, context: bytes) -> bytes:
    # unambiguous without lengths: the id is fixed, the header carries its own length
    return vault_id.bytes + header + context
