"""The signer's own tables, in a schema that only its database role may write."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, LargeBinary, MetaData, Numeric, Text, func, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

metadata = MetaData(
    schema="signer", naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"}
)

# what the protocol allows for chain ids and nonces is one bit more than a bigint holds
UINT64 = Numeric(20, 0)


class SignerBase(DeclarativeBase):
    """Tables of the signer hang on a metadata of their own: nothing references across."""

    metadata = metadata


class Key(SignerBase):
    """A signing key: its private half only as a blob wrapped by a root of the token."""

    __tablename__ = "keys"

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    address: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    origin: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())


class VaultKey(SignerBase):
    """A vault's key-encryption key, wrapped by a root of its own kind."""

    __tablename__ = "vault_keys"

    vault_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())


class SignedNonce(SignerBase):
    """The one digest that is signed for an account's nonce on a chain; others only in its place, by name.

    By address, not by key: the same key imported twice has two ids, and signs bytes that are valid for one account.
    `value_wei` is the largest value that was ever signed here: any of the signatures may be the one that is mined.
    `handed_out` says that somebody else than Talon may hold this very signature, `displaced` and `reason` what stood
    here before.
    """

    __tablename__ = "signed_nonces"

    address: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    chain_id: Mapped[Decimal] = mapped_column(UINT64, primary_key=True)
    nonce: Mapped[Decimal] = mapped_column(UINT64, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    handed_out: Mapped[bool]
    value_wei: Mapped[Decimal] = mapped_column(Numeric)
    displaced: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[str | None] = mapped_column(Text)
    signed_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())


class Redemption(SignerBase):
    """An approval that was turned into a signature: the primary key makes it once. Insert-only, for the signer too.

    What was signed is null in rows older than these columns. `displaces` is the digest whose place this one took.
    """

    __tablename__ = "redemptions"
    __table_args__ = (
        Index("ix_redemptions_address_sequence", "address", "sequence"),
        Index("ix_redemptions_displaces", "displaces", postgresql_where=text("displaces IS NOT NULL")),
    )

    approval_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), index=True)
    key_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    kind: Mapped[str] = mapped_column(Text)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    redeemed_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    address: Mapped[bytes | None] = mapped_column(LargeBinary)
    chain_id: Mapped[Decimal | None] = mapped_column(UINT64)
    nonce: Mapped[Decimal | None] = mapped_column(UINT64)
    value_wei: Mapped[Decimal | None] = mapped_column(Numeric)
    displaces: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[str | None] = mapped_column(Text)


class AuditKey(SignerBase):
    """The key that signs audit heads, in the HSM under its `kid`; retired ones still verify."""

    __tablename__ = "audit_keys"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    retired_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class AuditHead(SignerBase):
    """The newest head signed for an organisation: no head is ever signed behind it, nor another in its place."""

    __tablename__ = "audit_heads"

    org_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    integrity_hash: Mapped[str] = mapped_column(Text)
    signed_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())


class JwtKey(SignerBase):
    """A token-signing key in the HSM, found there by its `kid`; retired ones still verify."""

    __tablename__ = "jwt_keys"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    retired_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
