"""Signing keys: born or imported, wrapped at once, stored, and loaded through the unwrap template only."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from signer.ecdsa import address_of, public_key_of, public_key_of_private
from signer.errors import InvalidKey, KeyNotFound
from signer.hsm import SIGNING_KEY, Hsm
from signer.store import Store, StoredKey

MIN_CAPACITY: Final = 64


@dataclass(frozen=True)
class LoadedKey:
    """A key in the HSM, sensitive and not extractable, by its handle; its 20-byte address."""

    handle: Any = field(repr=False)
    address: bytes


class Keys:
    """Every signing key of the installation; at most `capacity` (64 at least) loaded, the least used goes first."""

    def __init__(self, hsm: Hsm, store: Store, capacity: int) -> None:
        self._hsm, self._store = hsm, store
        # A batch of signatures holds handles while others load keys: what it holds must not be the least used.
        self._capacity = max(capacity, MIN_CAPACITY)
        self._loaded: OrderedDict[UUID, LoadedKey] = OrderedDict()

    def __len__(self) -> int:
        return len(self._loaded)

    async def generate(self, key_id: UUID) -> StoredKey:
        """A key born in the HSM: no plaintext of it exists anywhere."""
        point, newborn = self._hsm.guarded(self._hsm.new_signing_pair)
        return await self._keep(key_id, newborn, public_key_of(point), "generated")

    async def import_(self, key_id: UUID, private_key: bytes) -> StoredKey:
        """A key from outside; its public half is computed here, and every later signature is checked against it."""
        public_key = public_key_of_private(private_key)
        newborn = self._hsm.guarded(lambda: self._hsm.newborn_signing_key(private_key))
        return await self._keep(key_id, newborn, public_key, "imported")

    async def load(self, key_id: UUID) -> LoadedKey:
        """The key's handle, from the cache or unwrapped now (about a millisecond)."""
        if key_id in self._loaded:
            self._loaded.move_to_end(key_id)
            return self._loaded[key_id]
        stored = await self._store.key(key_id)
        if stored is None:
            raise KeyNotFound("no such signing key")
        # somebody else may have loaded it while the database was asked
        return self._loaded.get(key_id) or self._cache(key_id, self._unwrap(stored))

    async def _keep(self, key_id: UUID, newborn: Any, public_key: bytes, origin: str) -> StoredKey:
        # No await between birth and destruction: nothing else runs while the key is extractable.
        try:
            wrapped = self._hsm.guarded(lambda: self._hsm.wrap(self._hsm.roots.signing, newborn))
        finally:
            self._hsm.guarded(newborn.destroy)
        stored = StoredKey(key_id, wrapped, public_key, address_of(public_key))
        # Proven before anybody can be told the address: funds sent to a key that does not load back are lost.
        loaded = self._unwrap(stored)
        try:
            if not await self._store.add_key(stored, origin):
                raise InvalidKey("this key id is taken")
        except BaseException:
            self._hsm.guarded(loaded.handle.destroy)
            raise
        self._cache(key_id, loaded)
        return stored

    def _unwrap(self, stored: StoredKey) -> LoadedKey:
        root = self._hsm.roots.signing
        handle = self._hsm.guarded(lambda: self._hsm.unwrap(root, stored.wrapped, SIGNING_KEY, ec=True))
        self._hsm.guarded(lambda: self._hsm.prove(handle, stored.address))
        return LoadedKey(handle, stored.address)

    def _cache(self, key_id: UUID, loaded: LoadedKey) -> LoadedKey:
        self._loaded[key_id] = loaded
        if len(self._loaded) > self._capacity:
            _, oldest = self._loaded.popitem(last=False)
            self._hsm.guarded(oldest.handle.destroy)
        return loaded
