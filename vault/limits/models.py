"""Counters of the rate limits, when several processes share them through PostgreSQL."""

from datetime import datetime

from sqlalchemy import Index, Integer, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class RateCounter(Base):
    """How often something happened within one window; may be lost at any time, so it is not logged."""

    __tablename__ = "rate_counters"
    __table_args__ = (Index("ix_rate_counters_expires_at", "expires_at"), {"prefixes": ["UNLOGGED"]})

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    expires_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))
