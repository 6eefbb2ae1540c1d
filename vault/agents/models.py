"""Agents: who they are, how they prove it, and the limits a human set."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.columns import Wei
from vault.db import Base


class Agent(Base):
    """A non-human principal. Rows are never removed: `deleted_at` hides one and ends its access.

    `tx_allowed_chains` holds canonical chain names and `tx_to_allowlist` EIP-55 addresses (empty: unrestricted);
    limits are in wei (null: unlimited). A higher `token_version` ends every JWT issued before.
    """

    __tablename__ = "agents"
    __table_args__ = (
        CheckConstraint("auth_method IN ('api_key', 'mtls', 'oidc_client_credentials')", name="auth_method"),
        CheckConstraint("tx_max_value_wei >= 0", name="tx_max_value_wei"),
        CheckConstraint("tx_daily_limit_wei >= 0", name="tx_daily_limit_wei"),
        Index(
            "ix_agents_org_id_created_at", "org_id", "created_at", "id", postgresql_where=text("deleted_at IS NULL")
        ),
        Index("ix_agents_key_prefix", "key_prefix"),
        # a certificate stands for one living agent
        Index(
            "uq_agents_client_cert_fingerprint",
            "client_cert_fingerprint",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_agents_oidc_issuer_oidc_client_id", "oidc_issuer", "oidc_client_id"),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    org_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), ForeignKey("organisations.id"))
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    auth_method: Mapped[str] = mapped_column(Text, default="api_key", server_default="api_key")
    key_prefix: Mapped[str | None] = mapped_column(Text)
    key_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    client_cert_fingerprint: Mapped[str | None] = mapped_column(Text)
    oidc_issuer: Mapped[str | None] = mapped_column(Text)
    oidc_client_id: Mapped[str | None] = mapped_column(Text)
    # the public halves of the identity keys: base64 of 32 bytes (Ed25519), of 65 bytes (P-256, uncompressed SEC 1)
    ssh_public_key: Mapped[str | None] = mapped_column(Text)
    ecdh_public_key: Mapped[str | None] = mapped_column(Text)
    token_version: Mapped[int] = mapped_column(Integer, default=1, server_default=text("1"))
    token_ttl_seconds: Mapped[int | None] = mapped_column(Integer)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default=text("'{}'"))
    vault_ids: Mapped[list[UUID]] = mapped_column(
        ARRAY(PgUUID(as_uuid=True)), default=list, server_default=text("'{}'")
    )
    is_active: Mapped[bool] = mapped_column(Boolean, default=True, server_default=text("true"))
    intents_api_enabled: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    tx_allowed_chains: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default=text("'{}'"))
    tx_to_allowlist: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default=text("'{}'"))
    tx_max_value_wei: Mapped[int | None] = mapped_column(Wei)
    tx_daily_limit_wei: Mapped[int | None] = mapped_column(Wei)
    shroud_enabled: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    shroud_config: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_by: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    last_active_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    deleted_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
