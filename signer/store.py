"""The signer's rows. Every call is bounded, and trouble with the database is SignerUnavailable."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from signer.audit_store import AuditStore
from signer.link import Link, Row
from signer.redeem import Redeemed, Redeeming, redeem

# The right to create what must exist once (roots, the first JWT key). A lock on a table of the signer's own, because
# advisory locks are open to every role of the database; it is in the way of itself alone, not of readers and writers.
BOOTSTRAP_LOCK: Final = "LOCK TABLE signer.jwt_keys IN SHARE UPDATE EXCLUSIVE MODE"
# another signer may be making the roots just now, behind a token that is slow
BOOTSTRAP_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class StoredKey:
    """A signing key as the database holds it: nothing here is secret without the token."""

    id: UUID
    wrapped: bytes = field(repr=False)
    public_key: bytes
    address: bytes


@dataclass(frozen=True)
class StoredJwtKey:
    """The public half of a token-signing key, and since when another has its place (microseconds since 1970)."""

    kid: str
    public_key: bytes
    created_at_us: int
    retired_at_us: int | None


@dataclass(frozen=True)
class StoredAuditKey:
    """The public half of a key that signs audit heads, and whether another has taken its place."""

    kid: str
    public_key: bytes
    retired: bool


@dataclass(frozen=True)
class StoredAuditHead:
    """The newest head signed for an organisation."""

    position: int
    integrity_hash: str


class Store:
    """`url` is a SQLAlchemy URL with the signer's own role."""

    def __init__(self, url: str) -> None:
        self._url = url
        # signatures do not queue behind anything else
        self._redemptions, self._rest = Link(url), Link(url)
        self.audit = AuditStore(self._rest)
        self._has_instance = False

    @asynccontextmanager
    async def bootstrap(self) -> AsyncIterator[None]:
        """Only one signer process of this database is inside at a time."""
        link = Link(self._url, BOOTSTRAP_TIMEOUT_S)
        try:
            await link.rows("BEGIN")
            await link.rows("SET LOCAL lock_timeout = 55000")
            await link.rows("SET LOCAL statement_timeout = 56000")
            # of the transaction, not of the session: survives a pooler in between, and ends with the connection
            await link.rows(BOOTSTRAP_LOCK)
            yield
            await link.rows("COMMIT")
        finally:
            link.drop()

    async def redeem(self, asked: Sequence[Redeeming]) -> Redeemed:
        """Use up approvals; see `signer.redeem.redeem`."""
        return await redeem(self._redemptions, asked)

    async def key(self, key_id: UUID) -> StoredKey | None:
        """A signing key's row."""
        # on the link of the redemptions: this is part of a signature
        rows = await self._redemptions.rows(
            "SELECT id, wrapped, public_key, address FROM signer.keys WHERE id = $1", key_id
        )
        return _key(rows[0]) if rows else None

    async def newest_key(self) -> StoredKey | None:
        """Any signing key, to see whether this token can load it."""
        rows = await self._rest.rows(
            "SELECT id, wrapped, public_key, address FROM signer.keys ORDER BY created_at DESC LIMIT 1"
        )
        return _key(rows[0]) if rows else None

    async def is_empty(self) -> bool:
        """Whether no key of any kind was ever wrapped for this database."""
        rows = await self._rest.rows(
            "SELECT 1 FROM (SELECT 1 FROM signer.keys UNION ALL SELECT 1 FROM signer.vault_keys) made LIMIT 1"
        )
        return not rows

    async def add_key(self, key: StoredKey, origin: str) -> bool:
        """Keep a new key; False when the id is taken."""
        rows = await self._rest.rows(
            "INSERT INTO signer.keys (id, wrapped, public_key, address, origin) VALUES ($1, $2, $3, $4, $5) "
            "ON CONFLICT DO NOTHING RETURNING id",
            key.id,
            key.wrapped,
            key.public_key,
            key.address,
            origin,
        )
        return bool(rows)

    async def vault_key(self, vault_id: UUID, version: int | None = None) -> tuple[int, bytes] | None:
        """A vault's wrapped key: the named version, or the newest."""
        rows = await self._rest.rows(
            "SELECT version, wrapped FROM signer.vault_keys WHERE vault_id = $1 AND ($2 = 0 OR version = $2) "
            "ORDER BY version DESC LIMIT 1",
            vault_id,
            version or 0,
        )
        return (int.from_bytes(_bytes(rows[0][0]), "big"), _bytes(rows[0][1])) if rows else None

    async def add_vault_key(self, vault_id: UUID, version: int, wrapped: bytes) -> bool:
        """Keep a vault's key; False when that version exists."""
        rows = await self._rest.rows(
            "INSERT INTO signer.vault_keys (vault_id, version, wrapped) VALUES ($1, $2, $3) "
            "ON CONFLICT DO NOTHING RETURNING version",
            vault_id,
            version,
            wrapped,
        )
        return bool(rows)

    async def jwt_keys(self) -> list[StoredJwtKey]:
        """The token-signing keys, newest first; at most 100."""
        rows = await self._rest.rows(
            "SELECT kid, public_key, CAST(extract(epoch FROM created_at) * 1000000 AS bigint), "
            "CAST(extract(epoch FROM retired_at) * 1000000 AS bigint) "
            "FROM signer.jwt_keys ORDER BY created_at DESC LIMIT 100"
        )
        return [
            StoredJwtKey(_bytes(kid).decode(), _bytes(key), _int(created), None if retired is None else _int(retired))
            for kid, key, created, retired in rows
        ]

    async def add_jwt_key(self, kid: str, public_key: bytes, *, ends_others: bool = False) -> None:
        """Make `kid` the current key and retire (or forget) the ones before, in one statement."""
        before = (
            "DELETE FROM signer.jwt_keys"
            if ends_others
            else "UPDATE signer.jwt_keys SET retired_at = clock_timestamp() WHERE retired_at IS NULL"
        )
        await self._rest.rows(
            f"WITH before AS ({before}) INSERT INTO signer.jwt_keys (kid, public_key) VALUES ($1, $2)",  # noqa: S608
            kid,
            public_key,
        )

    async def audit_keys(self) -> list[StoredAuditKey]:
        """The keys that signed audit heads, newest first; at most 100."""
        rows = await self._rest.rows(
            "SELECT kid, public_key, retired_at IS NOT NULL FROM signer.audit_keys ORDER BY created_at DESC LIMIT 100"
        )
        return [StoredAuditKey(_bytes(kid).decode(), _bytes(key), retired == b"\x01") for kid, key, retired in rows]

    async def add_audit_key(self, kid: str, public_key: bytes) -> None:
        """Keep the key that signs audit heads from now on."""
        await self._rest.rows("INSERT INTO signer.audit_keys (kid, public_key) VALUES ($1, $2)", kid, public_key)

    async def audit_head(self, org_id: UUID) -> StoredAuditHead | None:
        """The newest head signed for an organisation."""
        rows = await self._rest.rows(
            "SELECT position, integrity_hash FROM signer.audit_heads WHERE org_id = $1", org_id
        )
        return (
            StoredAuditHead(int.from_bytes(_bytes(rows[0][0]), "big"), _bytes(rows[0][1]).decode()) if rows else None
        )

    async def advance_audit_head(self, org_id: UUID, position: int, integrity_hash: str) -> int | None:
        """Record a head and return when (microseconds since 1970); None when it contradicts the newest."""
        rows = await self._rest.rows(
            "INSERT INTO signer.audit_heads AS newest (org_id, position, integrity_hash) "
            "VALUES ($1, CAST($2 AS bigint), $3) ON CONFLICT (org_id) DO UPDATE "
            "SET position = excluded.position, integrity_hash = excluded.integrity_hash, "
            "signed_at = clock_timestamp() WHERE newest.position < excluded.position "
            "OR (newest.position = excluded.position AND newest.integrity_hash = excluded.integrity_hash) "
            "RETURNING CAST(extract(epoch FROM signed_at) * 1000000 AS bigint)",
            org_id,
            str(position),
            integrity_hash,
        )
        return int.from_bytes(_bytes(rows[0][0]), "big") if rows else None

    async def epoch(self) -> tuple[UUID, int] | None:
        """Which instance this is and how far it has come; None in a database that is no instance's."""
        if not self._has_instance:
            rows = await self._rest.rows("SELECT 1 WHERE to_regclass('public.instance') IS NOT NULL")
            self._has_instance = bool(rows)
        if not self._has_instance:
            return None
        return _epoch(await self._rest.rows("SELECT id, epoch FROM public.instance"))

    async def raise_epoch(self) -> tuple[UUID, int] | None:
        """Count on, durable when this returns; what `epoch` says from then on."""
        if not self._has_instance:
            return None
        return _epoch(await self._rest.rows("UPDATE public.instance SET epoch = epoch + 1 RETURNING id, epoch"))

    def close(self) -> None:
        """Hang up."""
        for link in (self._redemptions, self._rest):
            link.drop()


def _key(row: tuple[bytes | None, ...]) -> StoredKey:
    key_id, wrapped, public_key, address = (_bytes(column) for column in row)
    return StoredKey(UUID(bytes=key_id), wrapped, public_key, address)


def _epoch(rows: Sequence[Row]) -> tuple[UUID, int] | None:
    return (UUID(bytes=_bytes(rows[0][0])), _int(rows[0][1])) if rows else None


def _int(column: bytes | None) -> int:
    return int.from_bytes(_bytes(column), "big", signed=True)


def _bytes(column: bytes | None) -> bytes:
    assert column is not None
    return column
