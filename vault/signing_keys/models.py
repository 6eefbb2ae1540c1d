"""The agent_signing_keys table: what a signing_key_path means for an agent."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, func
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class AgentSigningKey(Base):
    """An agent's path, bound to one secret in one vault, by the human `bound_by`; null: by its first signature.

    A secret's id outlives deletion and revival, so a restored key is the bound one, and so is a new version of it.
    No foreign keys: a signature writes this row while it holds its locks, and must not wait for a secret's.
    """

    __tablename__ = "agent_signing_keys"

    agent_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    path: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    vault_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    secret_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    bound_by: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
    bound_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
