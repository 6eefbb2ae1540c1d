"""Seal and open secrets: one data key per secret, wrapped by its vault's key; both only ever inside the HSM.

Sealed form: version byte 1, vault key version (4 bytes), length of the wrapped data key (2 bytes), the wrapped data
key, nonce (12 bytes), AES-256-GCM ciphertext and tag. `context` is the associated data: a blob moved to another
vault, path or version does not open.
"""

from collections import OrderedDict
from typing import Any, Final
from uuid import UUID

from pkcs11 import Attribute
from pkcs11.exceptions import PKCS11Error

from signer.errors import SealBroken, SignerError, SignerUnavailable
from signer.hsm import DEK, GCM_NONCE_BYTES, KEK, Hsm
from signer.store import Store

FORMAT: Final = 1
HEADER_BYTES: Final = 7
LOADED_VAULT_KEYS: Final = 1_000
# tells a token in trouble from a wrong tag or a tampered wrapped key
_TROUBLE: Final = ("Device", "Session", "Token", "HostMemory", "CryptokiNotInitialized", "UserNotLoggedIn")


class Seals:
    """The vaults' key-encryption keys and what is done with them."""

    def __init__(self, hsm: Hsm, store: Store) -> None:
        self._hsm, self._store = hsm, store
        self._loaded: OrderedDict[tuple[UUID, int], Any] = OrderedDict()

    def create_vault_key(self, vault_id: UUID) -> None:
        """Make the vault's first key unless it has one."""
        if self._store.vault_key(vault_id) is not None:
            return
        assert self._hsm.roots is not None
        root = self._hsm.roots.vault
        usable = {Attribute.WRAP: True, Attribute.UNWRAP: True, Attribute.ENCRYPT: False, Attribute.DECRYPT: False}
        newborn = self._hsm.guarded(lambda: self._hsm.newborn_aes_key(usable))
        try:
            wrapped = self._hsm.guarded(lambda: self._hsm.wrap(root, newborn))
        finally:
            self._hsm.guarded(newborn.destroy)
        # another signer may have been faster: its key stands
        self._store.add_vault_key(vault_id, 1, wrapped)

    def seal(self, vault_id: UUID, context: bytes, plaintext: bytes) -> bytes:
        """Encrypt under a fresh data key of its own."""
        version, kek = self._vault_key(vault_id, None)
        usable = {Attribute.ENCRYPT: True, Attribute.DECRYPT: False, Attribute.WRAP: False, Attribute.UNWRAP: False}
        newborn = self._hsm.guarded(lambda: self._hsm.newborn_aes_key(usable))
        try:
            nonce = self._hsm.guarded(lambda: self._hsm.random(GCM_NONCE_BYTES))
            ciphertext = self._hsm.guarded(lambda: self._hsm.encrypt(newborn, nonce, context, plaintext))
            wrapped = self._hsm.guarded(lambda: self._hsm.wrap(kek, newborn))
        finally:
            self._hsm.guarded(newborn.destroy)
        header = bytes([FORMAT]) + version.to_bytes(4, "big") + len(wrapped).to_bytes(2, "big")
        return header + wrapped + nonce + ciphertext

    def open(self, vault_id: UUID, context: bytes, sealed: bytes) -> bytes:
        """Decrypt; SealBroken unless it was sealed for this vault and context and is unchanged."""
        if len(sealed) < HEADER_BYTES or sealed[0] != FORMAT:
            raise SealBroken("not a sealed secret of a known form")
        version = int.from_bytes(sealed[1:5], "big")
        end = HEADER_BYTES + int.from_bytes(sealed[5:7], "big")
        wrapped, nonce = sealed[HEADER_BYTES:end], sealed[end : end + GCM_NONCE_BYTES]
        ciphertext = sealed[end + GCM_NONCE_BYTES :]
        if len(wrapped) < 24 or len(nonce) != GCM_NONCE_BYTES or len(ciphertext) < 16:
            raise SealBroken("a sealed secret that was cut short")
        _, kek = self._vault_key(vault_id, version)
        try:
            key = self._hsm.unwrap(kek, wrapped, DEK)
            try:
                return self._hsm.decrypt(key, nonce, context, ciphertext)
            finally:
                key.destroy()
        except PKCS11Error as error:
            raise _meaning(error) from None

    def _vault_key(self, vault_id: UUID, version: int | None) -> tuple[int, Any]:
        if version is not None and (vault_id, version) in self._loaded:
            self._loaded.move_to_end((vault_id, version))
            return version, self._loaded[vault_id, version]
        found = self._store.vault_key(vault_id, version)
        if found is None:
            raise SealBroken("the vault has no such key")
        assert self._hsm.roots is not None
        root, (newest, wrapped) = self._hsm.roots.vault, found
        if (vault_id, newest) not in self._loaded:
            self._loaded[vault_id, newest] = self._hsm.guarded(lambda: self._hsm.unwrap(root, wrapped, KEK))
            if len(self._loaded) > LOADED_VAULT_KEYS:
                _, oldest = self._loaded.popitem(last=False)
                self._hsm.guarded(oldest.destroy)
        return newest, self._loaded[vault_id, newest]


def _meaning(error: PKCS11Error) -> SignerError:
    name = type(error).__name__
    if any(word in name for word in _TROUBLE):
        return SignerUnavailable(f"the HSM failed ({name})")
    return SealBroken("the secret was not sealed for this place, or was changed")
