"""The policies table: who may do what under which paths of a vault."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class Policy(Base):
    """One grant to one principal; the only source of access besides having created the vault.

    `conditions` is the JSON as given, validated by `vault.policies.conditions`. A past `expires_at` makes the
    policy inert. Revoking deletes the row; the audit keeps what it said.
    """

    __tablename__ = "policies"
    __table_args__ = (
        Index("ix_policies_vault_id_created_at_id", "vault_id", "created_at", "id"),
        # the way of every decision: from a principal to its grants
        Index("ix_policies_principal_id_vault_id", "principal_id", "vault_id"),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    vault_id: Mapped[UUID] = mapped_column(ForeignKey("vaults.id"))
    secret_path_pattern: Mapped[str] = mapped_column(Text)
    principal_type: Mapped[str] = mapped_column(Text)
    principal_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    conditions: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    expires_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    created_by: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    created_by_type: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
