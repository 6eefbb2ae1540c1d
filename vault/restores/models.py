"""The tables of a restored copy: which instance this is and how far it came, and each time it was found to be old."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, func, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class Instance(Base):
    """The one row that says which instance this database is, and how far it has come.

    `epoch` goes up at every start, back-up and restore and, while anything is signed, once a minute; copies of it
    outside the database are never ahead of it, unless the database is an older copy. `start_epoch` is what it was at
    the last start.
    """

    __tablename__ = "instance"
    __table_args__ = (CheckConstraint("is_only", name="only_one"),)

    is_only: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), server_default=func.gen_random_uuid())
    epoch: Mapped[int] = mapped_column(BigInteger, server_default="0")
    start_epoch: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Restore(Base):
    """Once that this database was found to be older than what was signed; frozen until it is opened.

    `found_by`: `restore` (by the command), `epoch` (a copy outside was later), `chain` (a wallet's count was).
    """

    __tablename__ = "restores"
    __table_args__ = (
        CheckConstraint("found_by IN ('restore', 'epoch', 'chain')", name="found_by"),
        Index(
            "uq_restores_open", text("(opened_at IS NULL)"), unique=True, postgresql_where=text("opened_at IS NULL")
        ),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, server_default=func.gen_random_uuid())
    found_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    found_by: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    listed_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    counted_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    credentials_ended_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    opened_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    opened_by: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
