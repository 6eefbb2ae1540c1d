"""Organisations, who belongs to them, what they may have, and from where they may be used."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer, Text, func, text
from sqlalchemy.dialects.postgresql import CIDR, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class Organisation(Base):
    """The tenant: every vault, agent and audit row belongs to exactly one.

    `closed_at` is when its last member closed the account; what went with it was deleted at that very moment.
    """

    __tablename__ = "organisations"
    __table_args__ = (
        Index("ix_organisations_closed_at", "closed_at", "id", postgresql_where=text("closed_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Text)
    # null: the operator's default tier
    tier: Mapped[str | None] = mapped_column(Text)
    tier_until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    # an operator's exceptions from the tier for this organisation; null: as the tier says
    max_vaults: Mapped[int | None] = mapped_column(Integer)
    max_secrets: Mapped[int | None] = mapped_column(Integer)
    max_agents: Mapped[int | None] = mapped_column(Integer)
    # null: as many requests a month as the tier includes
    free_tier_override: Mapped[int | None] = mapped_column(Integer)
    # nothing is limited for it
    is_sponsored: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    closed_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())


class Tier(Base):
    """What an organisation may have, set by the operator; null means unlimited. Without rows nothing is limited."""

    __tablename__ = "tiers"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    max_vaults: Mapped[int | None] = mapped_column(Integer)
    max_secrets: Mapped[int | None] = mapped_column(Integer)
    max_agents: Mapped[int | None] = mapped_column(Integer)
    has_cmek: Mapped[bool] = mapped_column(Boolean, default=True, server_default=text("true"))
    is_default: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))


class IpRule(Base):
    """From where an organisation may be used; any allow rule makes the rules an allowlist, deny beats allow."""

    __tablename__ = "ip_rules"
    __table_args__ = (
        CheckConstraint("rule_type IN ('allow', 'deny')", name="rule_type"),
        CheckConstraint("applies_to IN ('all', 'users', 'agents')", name="applies_to"),
        Index("ix_ip_rules_org_id_created_at", "org_id", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    org_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), ForeignKey("organisations.id"))
    rule_type: Mapped[str] = mapped_column(Text)
    cidr: Mapped[str] = mapped_column(CIDR)
    applies_to: Mapped[str] = mapped_column(Text)
    label: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())


class Membership(Base):
    """A user's place in an organisation; a user is in one organisation at a time."""

    __tablename__ = "memberships"
    __table_args__ = (
        CheckConstraint("role IN ('owner', 'admin', 'member')", name="role"),
        Index("ix_memberships_org_id_created_at", "org_id", "created_at"),
    )

    user_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), ForeignKey("users.id"), primary_key=True)
    org_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), ForeignKey("organisations.id"))
    role: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
