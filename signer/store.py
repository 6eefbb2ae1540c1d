"""The signer's rows: synchronous, one connection, bounded waits; trouble is SignerUnavailable."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from guardrails.approval import Approval
from signer.errors import ApprovalRefused, SignerUnavailable
from signer.models import JwtKey, Key, Redemption, VaultKey

# any fixed number: names the right to create what must exist once (roots, the first JWT key)
BOOTSTRAP_LOCK = 7_214_002

_ADD_JWT_KEY = text("""
    WITH retired AS (UPDATE signer.jwt_keys SET retired_at = clock_timestamp() WHERE retired_at IS NULL)
    INSERT INTO signer.jwt_keys (kid, public_key) VALUES (:kid, :public_key)
""")


@dataclass(frozen=True)
class StoredKey:
    """A signing key as the database holds it: nothing here is secret without the token."""

    id: UUID
    wrapped: bytes
    public_key: bytes
    address: bytes


class Store:
    """`url` is a SQLAlchemy URL with the signer's own role."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(
            url,
            pool_size=2,
            max_overflow=0,
            pool_timeout=5,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "connect_timeout": 3,
                "application_name": "talon-signer",
                "options": "-c statement_timeout=5000 -c lock_timeout=3000 -c timezone=UTC",
            },
        )

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise SignerUnavailable(f"the signer's database does not answer ({type(error).__name__})") from None

    @contextmanager
    def bootstrap_lock(self) -> Iterator[None]:
        """Only one signer process of this database is inside at a time."""
        with self._connected() as connection:
            connection.execute(text("SET lock_timeout = 60000; SET statement_timeout = 60000"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": BOOTSTRAP_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": BOOTSTRAP_LOCK})
                connection.execute(text("SET lock_timeout = 3000; SET statement_timeout = 5000"))

    def redeem(self, approval: Approval) -> None:
        """Use up an approval, durably; ApprovalRefused when it was used before."""
        try:
            with self._connected() as connection:
                connection.execute(
                    insert(Redemption).values(
                        approval_id=approval.id,
                        agent_id=approval.agent_id,
                        key_id=approval.key_id,
                        kind=approval.kind,
                        digest=approval.digest,
                    )
                )
        except IntegrityError:
            raise ApprovalRefused("the approval was redeemed before") from None

    def key(self, key_id: UUID) -> StoredKey | None:
        """A signing key's row."""
        with self._connected() as connection:
            row = connection.execute(
                select(Key.id, Key.wrapped, Key.public_key, Key.address).where(Key.id == key_id)
            ).first()
        return (
            None if row is None else StoredKey(row.id, bytes(row.wrapped), bytes(row.public_key), bytes(row.address))
        )

    def add_key(self, key: StoredKey, origin: str) -> bool:
        """Keep a new key; False when the id is taken."""
        with self._connected() as connection:
            made = connection.execute(
                upsert(Key)
                .values(id=key.id, wrapped=key.wrapped, public_key=key.public_key, address=key.address, origin=origin)
                .on_conflict_do_nothing()
                .returning(Key.id)
            )
            return made.first() is not None

    def vault_key(self, vault_id: UUID, version: int | None = None) -> tuple[int, bytes] | None:
        """A vault's wrapped key: the named version, or the newest."""
        query = select(VaultKey.version, VaultKey.wrapped).where(VaultKey.vault_id == vault_id)
        if version is not None:
            query = query.where(VaultKey.version == version)
        with self._connected() as connection:
            row = connection.execute(query.order_by(VaultKey.version.desc()).limit(1)).first()
        return None if row is None else (row.version, bytes(row.wrapped))

    def add_vault_key(self, vault_id: UUID, version: int, wrapped: bytes) -> bool:
        """Keep a vault's key; False when that version exists."""
        with self._connected() as connection:
            made = connection.execute(
                upsert(VaultKey)
                .values(vault_id=vault_id, version=version, wrapped=wrapped)
                .on_conflict_do_nothing()
                .returning(VaultKey.version)
            )
            return made.first() is not None

    def jwt_keys(self) -> list[tuple[str, bytes, bool]]:
        """kid, public key and whether retired, newest first; at most 100."""
        with self._connected() as connection:
            rows = connection.execute(
                select(JwtKey.kid, JwtKey.public_key, JwtKey.retired_at.is_not(None))
                .order_by(JwtKey.created_at.desc())
                .limit(100)
            )
            return [(row[0], bytes(row[1]), bool(row[2])) for row in rows]

    def add_jwt_key(self, kid: str, public_key: bytes) -> None:
        """Make `kid` the current key and retire the ones before."""
        with self._connected() as connection:
            connection.execute(_ADD_JWT_KEY, {"kid": kid, "public_key": public_key})

    def close(self) -> None:
        """Return the connections."""
        self._engine.dispose()
