"""The vaults table: a named container of secrets, owned by one organisation."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Boolean, Index, Text, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base

# names that begin like this are the system's to give
RESERVED_PREFIX = "__"
# the name of the vault of agents' identity keys
SYSTEM_NAME = "__agent-keys"


class Vault(Base):
    """A vault; `created_by` (a user or an agent, as `created_by_type` says) always has full access to it.

    Deletion only sets `deleted_at`: rows that refer to the vault stay for the audit, and its name is free again.
    """

    __tablename__ = "vaults"
    __table_args__ = (
        Index("uq_vaults_org_id_name", "org_id", "name", unique=True, postgresql_where=sql("deleted_at IS NULL")),
        Index("ix_vaults_org_id_created_at_id", "org_id", "created_at", "id"),
        Index("ix_vaults_created_by", "created_by"),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    org_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, default="")
    created_by: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    created_by_type: Mapped[str] = mapped_column(Text)
    # the SHA-256 of the key that clients encrypt with before they send (null: they do not)
    cmek_fingerprint: Mapped[str | None] = mapped_column(Text)
    # the vault of the agents' identity keys: one per organisation, exempt from tiers
    is_system: Mapped[bool] = mapped_column(Boolean, default=False, server_default=sql("false"))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    deleted_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    # whoever did it may undo it
    deleted_by: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
