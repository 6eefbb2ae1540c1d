"""Rotations of customers' keys: what is done and what is left. The keys themselves are nowhere here."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, func, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class CmekRotation(Base):
    """Re-encrypting a vault's values from one customer's key to the next, in batches of 100.

    Only the API process that got both keys can work on it (`holder`); it renews `heartbeat_at` with every batch.
    A job whose holder went silent is interrupted, and goes on when the client sends the keys again.
    """

    __tablename__ = "cmek_rotations"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'completed', 'failed', 'interrupted')", name="status"),
        # one unfinished job per vault
        Index(
            "uq_cmek_rotations_unfinished",
            "vault_id",
            unique=True,
            postgresql_where=text("status IN ('running', 'interrupted')"),
        ),
        Index("ix_cmek_rotations_vault_id_created_at", "vault_id", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    vault_id: Mapped[UUID] = mapped_column(ForeignKey("vaults.id"))
    old_fingerprint: Mapped[str] = mapped_column(Text)
    new_fingerprint: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, default="running", server_default="running")
    total_secrets: Mapped[int] = mapped_column(Integer)
    processed: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    failed: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    error: Mapped[str | None] = mapped_column(Text)
    holder: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    heartbeat_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    created_by: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    started_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    completed_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
