"""Signing keys: born or imported, wrapped at once, stored, and loaded through the unwrap template only."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from signer.ecdsa import address_of, public_key_of, public_key_of_private
from signer.errors import InvalidKey, KeyNotFound
from signer.hsm import SIGNING_KEY, Hsm
from signer.store import Store, StoredKey


@dataclass
class LoadedKey:
    """A key in the HSM, sensitive and not extractable, by its handle."""

    handle: Any
    address: bytes


class Keys:
    """Every signing key of the installation; at most `capacity` loaded at once, the least used goes first."""

    def __init__(self, hsm: Hsm, store: Store, capacity: int) -> None:
        self._hsm, self._store, self._capacity = hsm, store, capacity
        self._loaded: OrderedDict[UUID, LoadedKey] = OrderedDict()

    def __len__(self) -> int:
        return len(self._loaded)

    def generate(self, key_id: UUID) -> StoredKey:
        """A key born in the HSM: no plaintext of it exists anywhere."""
        point, newborn = self._hsm.guarded(self._hsm.new_signing_pair)
        return self._keep(key_id, newborn, public_key_of(point), "generated")

    def import_(self, key_id: UUID, private_key: bytes) -> StoredKey:
        """A key from outside; its public half is computed here, and every later signature is checked against it."""
        public_key = public_key_of_private(private_key)
        newborn = self._hsm.guarded(lambda: self._hsm.newborn_signing_key(private_key))
        return self._keep(key_id, newborn, public_key, "imported")

    def _keep(self, key_id: UUID, newborn: Any, public_key: bytes, origin: str) -> StoredKey:
        assert self._hsm.roots is not None
        root = self._hsm.roots.signing
        try:
            wrapped = self._hsm.guarded(lambda: self._hsm.wrap(root, newborn))
        finally:
            self._hsm.guarded(newborn.destroy)
        stored = StoredKey(key_id, wrapped, public_key, address_of(public_key))
        if not self._store.add_key(stored, origin):
            raise InvalidKey("this key id is taken")
        return stored

    def load(self, key_id: UUID) -> LoadedKey:
        """The key's handle, from the cache or unwrapped now (about a millisecond)."""
        if key_id in self._loaded:
            self._loaded.move_to_end(key_id)
            return self._loaded[key_id]
        stored = self._store.key(key_id)
        if stored is None:
            raise KeyNotFound("no such signing key")
        assert self._hsm.roots is not None
        root = self._hsm.roots.signing
        handle = self._hsm.guarded(lambda: self._hsm.unwrap(root, stored.wrapped, SIGNING_KEY, ec=True))
        self._loaded[key_id] = LoadedKey(handle, stored.address)
        if len(self._loaded) > self._capacity:
            _, oldest = self._loaded.popitem(last=False)
            self._hsm.guarded(oldest.handle.destroy)
        return self._loaded[key_id]
