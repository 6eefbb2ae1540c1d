"""The audit table: insert-only for the application; chained later by one sequencer."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Identity, Index, Text, func
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class AuditEvent(Base):
    """One thing that changed or was revealed, written in the same transaction as its effect.

    `prev_event_id` and `integrity_hash` stay null until the sequencer seals the row. `details` never holds a
    value, key, token or passphrase.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_org_id_sequence", "org_id", "sequence"),
        Index("ix_audit_events_org_id_actor_id_sequence", "org_id", "actor_id", "sequence"),
        Index("ix_audit_events_org_id_resource_id_sequence", "org_id", "resource_id", "sequence"),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    org_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    actor_type: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    resource_type: Mapped[str] = mapped_column(Text)
    resource_id: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    ip_address: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    prev_event_id: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
    integrity_hash: Mapped[str | None] = mapped_column(Text)
