"""The one row that says how far the database's clock may be believed."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Double, Text, func, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base

TIME = TIMESTAMP(timezone=True)


class Clock(Base):
    """`believed_at` is the time at the last look, `leash` the latest that may be believed until the next one.

    `boot_id` and `boottime_s` (seconds of CLOCK_BOOTTIME) are of the host that looked; `word` is on whose word it is
    believed since that host started (`vault.clock.rule`). `doubt`, `doubted_at` and `why` are there while in doubt.
    """

    __tablename__ = "clock"
    __table_args__ = (CheckConstraint("is_only", name="only_one"),)

    is_only: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    believed_at: Mapped[datetime] = mapped_column(TIME, server_default=func.clock_timestamp())
    leash: Mapped[datetime] = mapped_column(TIME, server_default=func.clock_timestamp())
    boot_id: Mapped[str | None] = mapped_column(Text)
    boottime_s: Mapped[float] = mapped_column(Double, server_default="0")
    word: Mapped[str | None] = mapped_column(Text)
    doubt: Mapped[str | None] = mapped_column(Text)
    doubted_at: Mapped[datetime | None] = mapped_column(TIME)
    why: Mapped[str | None] = mapped_column(Text)
    # goes up with every change: who looked at an older row writes nothing
    revision: Mapped[int] = mapped_column(BigInteger, server_default="0")
