"""The tables of secrets: one row per path, one row per version; values only sealed, keys only by reference."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Boolean, ForeignKey, Index, Integer, LargeBinary, Text, UniqueConstraint, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class Secret(Base):
    """A path in a vault; its id stays the same over all versions, and over deletion and revival.

    This row is the lock under which version numbers are given out (`latest_version` is the highest given).
    `newest` repeats what a list shows of the current version (null: there is none), so that a page reads
    one stretch of one index and no versions; `repository.note_newest` keeps it after every change.
    Paths collate as bytes, so that the unique index also serves prefix searches and path order.
    """

    __tablename__ = "secrets"
    __table_args__ = (
        UniqueConstraint("vault_id", "path"),
        # lists and counts walk what is live only, however much was deleted
        Index("ix_secrets_vault_id_path_live", "vault_id", "path", postgresql_where=sql("deleted_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    vault_id: Mapped[UUID] = mapped_column(ForeignKey("vaults.id"))
    path: Mapped[str] = mapped_column(Text(collation="C"))
    latest_version: Mapped[int] = mapped_column(Integer, default=0)
    newest: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    deleted_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class SecretVersion(Base):
    """One value of a secret: `sealed` by the signer, or a signing key `key_id` that lives behind the HSM, or both.

    The current version of a path is its newest enabled signing key where it has one (no unconfirmed one), else the
    newest enabled version: what was stored while a key was out of reach does not stand in its way when it comes back.

    `exportable` is true for a key that is also sealed because its owner asked for it. `access_count` rises only
    while `max_access_count` (null: unlimited) is set. Deleting a secret marks all its versions of that time.
    """

    __tablename__ = "secret_versions"
    __table_args__ = (
        Index("ix_secret_versions_key_id", "key_id"),
        # whose key an address is; most versions have none
        Index("ix_secret_versions_address", "address", postgresql_where=sql("address IS NOT NULL")),
        # what a path stands for: a signing key before anything else, then the newest
        Index(
            "ix_secret_versions_current",
            "secret_id",
            sql("(key_id IS NULL OR unconfirmed)"),
            sql("version DESC"),
            postgresql_where=sql("disabled_at IS NULL AND deleted_at IS NULL"),
        ),
    )

    secret_id: Mapped[UUID] = mapped_column(ForeignKey("secrets.id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(Text)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    key_id: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
    address: Mapped[bytes | None] = mapped_column(LargeBinary)
    exportable: Mapped[bool] = mapped_column(Boolean, default=False)
    # a signing key that an agent brought: no wallet, and not shown as one, until a human who may has said so
    unconfirmed: Mapped[bool] = mapped_column(Boolean, default=False, server_default=sql("false"))
    # encrypted by its owner before it reached us, under the key of this fingerprint (null: it was not)
    cmek_fingerprint: Mapped[str | None] = mapped_column(Text)
    # "metadata" is a reserved attribute of declarative classes; the column keeps the contract's name
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict)
    rotation_policy: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    expires_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    max_access_count: Mapped[int | None] = mapped_column(Integer)
    access_count: Mapped[int] = mapped_column(Integer, default=0)
    created_by: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    created_by_type: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    disabled_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    # whoever did it may undo it
    disabled_by: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
    deleted_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    deleted_by: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
