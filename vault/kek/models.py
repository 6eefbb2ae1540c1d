"""Rotations of vaults' key-encryption keys: visible while they run, and afterwards."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, func, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class KekRotation(Base):
    """Re-wrapping a vault's values under a new key of the HSM; the worker goes through the paths in byte order.

    `cursor` and `cursor_version` are the last path and version that are done, so that another worker goes on there.
    """

    __tablename__ = "kek_rotations"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'completed')", name="status"),
        # one at a time per vault
        Index("uq_kek_rotations_running", "vault_id", unique=True, postgresql_where=text("status = 'running'")),
        Index("ix_kek_rotations_vault_id_created_at", "vault_id", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    vault_id: Mapped[UUID] = mapped_column(ForeignKey("vaults.id"))
    key_version: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(Text, default="running", server_default="running")
    total: Mapped[int] = mapped_column(Integer)
    processed: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    failed: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    cursor: Mapped[str] = mapped_column(Text(collation="C"), default="", server_default="")
    cursor_version: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    error: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    completed_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
