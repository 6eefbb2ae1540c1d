"""The audit tables: events are insert-only for the application and chained later by one sequencer."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import DDL, BigInteger, Identity, Index, LargeBinary, Text, event, func
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class AuditEvent(Base):
    """One thing that changed or was revealed, written in the same transaction as its effect.

    `details` never holds a value, key, token or passphrase.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        # every filter, with or without a time range, is one stretch of one index, newest first
        Index("ix_audit_events_org_id_created_at", "org_id", "created_at", "sequence"),
        Index("ix_audit_events_org_id_actor_id_created_at", "org_id", "actor_id", "created_at", "sequence"),
        Index("ix_audit_events_org_id_actor_type_created_at", "org_id", "actor_type", "created_at", "sequence"),
        Index("ix_audit_events_org_id_resource_id_created_at", "org_id", "resource_id", "created_at", "sequence"),
        Index("ix_audit_events_org_id_action_created_at", "org_id", "action", "created_at", "sequence"),
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


class AuditPending(Base):
    """An event that the sequencer has not sealed yet; written with the event, removed with its seal."""

    __tablename__ = "audit_pending"

    event_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, unique=True)
    org_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))


class AuditSeal(Base):
    """An event's place in its organisation's chain: `integrity_hash` covers the event and the hash before it.

    Insert-only, like the events. `position` counts from 1 without gaps.
    """

    __tablename__ = "audit_seals"
    # each event that is shown looks its seal up: two blocks, however long the chain; a B-tree would grow deeper.
    # Half full, because fuller buckets spill over while their number doubles.
    __table_args__ = (
        Index("ix_audit_seals_event_id", "event_id", postgresql_using="hash", postgresql_with={"fillfactor": 50}),
    )

    org_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), unique=True)
    prev_event_id: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
    integrity_hash: Mapped[str] = mapped_column(Text)


# A seal far ahead would be gone on from, and at the end of the numbers nothing could be sealed any more. The database
# refuses it, because whoever may add seals is not to be trusted with where.
FOLLOWS: Final = (
    """
    CREATE OR REPLACE FUNCTION public.audit_seal_follows() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.position <> 1 AND NOT EXISTS (
            SELECT 1 FROM public.audit_seals WHERE org_id = NEW.org_id AND position = NEW.position - 1
        ) THEN
            RAISE EXCEPTION 'an audit seal must follow the one before' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER audit_seal_follows BEFORE INSERT ON public.audit_seals
    FOR EACH ROW EXECUTE FUNCTION public.audit_seal_follows()
    """,
)
for statement in FOLLOWS:
    event.listen(AuditSeal.__table__, "after_create", DDL(statement))  # type: ignore[no-untyped-call]  # ships no types


class AuditHead(Base):
    """A chain's head signed inside the HSM: whoever keeps a copy can prove what came later was not there before."""

    __tablename__ = "audit_heads"

    org_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    integrity_hash: Mapped[str] = mapped_column(Text)
    kid: Mapped[str] = mapped_column(Text)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    signed_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))
