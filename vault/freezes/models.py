"""The freezes table: what a human stopped from signing, until a human lifts it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Text, func
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class Freeze(Base):
    """One stop: of an agent, of all agents of an organisation, or of the instance (the nil UUID).

    A table of its own, not columns of the agent: it is locked as a whole for a moment, which waits for the
    signatures that are being made and for nothing else (`vault.freezes.gate`).
    """

    __tablename__ = "freezes"
    __table_args__ = (CheckConstraint("scope IN ('agent', 'organisation', 'instance')", name="scope"),)

    target_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    scope: Mapped[str] = mapped_column(Text)
    frozen_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    frozen_by: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    reason: Mapped[str] = mapped_column(Text)
