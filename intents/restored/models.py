"""The tables of what a restored copy found on its chains. Amounts in wei."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.columns import Wei
from vault.db import Base

UUID_ = PgUUID(as_uuid=True)
TIME = TIMESTAMP(timezone=True)


class RestoredChain(Base):
    """A chain that is asked for one restore; `asked_at` is null until an endpoint of it has answered."""

    __tablename__ = "restored_chains"

    restore_id: Mapped[UUID] = mapped_column(UUID_, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    chain: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime | None] = mapped_column(TIME)


class RestoredWallet(Base):
    """A wallet to be looked at for one restore: its nonces from `low` to without `high`, as its chain named them.

    `mined` is the highest count that an endpoint names, `agreed` the lowest; the rest up to `high` waits in a pool.
    `calls` is what the search has cost.
    """

    __tablename__ = "restored_wallets"

    restore_id: Mapped[UUID] = mapped_column(UUID_, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    address: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    low: Mapped[int] = mapped_column(BigInteger)
    agreed: Mapped[int] = mapped_column(BigInteger)
    mined: Mapped[int] = mapped_column(BigInteger)
    high: Mapped[int] = mapped_column(BigInteger)
    calls: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    listed_at: Mapped[datetime | None] = mapped_column(TIME)


class RestoredTransaction(Base):
    """A transaction on chain that this copy does not have; or, without a hash, nonces of which none was found.

    Those go from `nonce` to `last_nonce` (null: nobody says how far); their `value_wei` is null until a human enters
    an amount for all of them. `agents` are those that may use the wallet. The data is known by its SHA-256, first
    four bytes and length.
    """

    __tablename__ = "restored_transactions"
    __table_args__ = (
        UniqueConstraint("restore_id", "chain_id", "address", "nonce"),
        CheckConstraint("tx_hash IS NULL OR value_wei IS NOT NULL", name="found_with_value"),
        Index("ix_restored_transactions_alike", "chain_id", "address", "to_address", "value_wei"),
        Index("ix_restored_transactions_tx_hash", "tx_hash", postgresql_where=sql("tx_hash IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(UUID_, primary_key=True, default=uuid4)
    restore_id: Mapped[UUID] = mapped_column(UUID_)
    chain: Mapped[str] = mapped_column(Text)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    address: Mapped[bytes] = mapped_column(LargeBinary)
    nonce: Mapped[int] = mapped_column(BigInteger)
    last_nonce: Mapped[int | None] = mapped_column(BigInteger)
    tx_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    to_address: Mapped[bytes | None] = mapped_column(LargeBinary)
    value_wei: Mapped[int | None] = mapped_column(Wei)
    data_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    data_head: Mapped[bytes | None] = mapped_column(LargeBinary)
    data_length: Mapped[int | None] = mapped_column(Integer)
    block_number: Mapped[int | None] = mapped_column(BigInteger)
    block_at: Mapped[datetime | None] = mapped_column(TIME)
    agents: Mapped[list[UUID]] = mapped_column(ARRAY(UUID_))
    entered_at: Mapped[datetime | None] = mapped_column(TIME)
    entered_by: Mapped[UUID | None] = mapped_column(UUID_)


class RestoredSpend(Base):
    """What such a transaction counts in the rolling window of one agent, beside its own reservations.

    For 24 h from `counted_from`, the block's time; without a `value_wei` it fills the window until one is entered.
    """

    __tablename__ = "restored_spend"
    __table_args__ = (Index("ix_restored_spend_agent_id", "agent_id"),)

    transaction_id: Mapped[UUID] = mapped_column(ForeignKey("restored_transactions.id"), primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(UUID_, primary_key=True)
    value_wei: Mapped[int | None] = mapped_column(Wei)
    counted_from: Mapped[datetime] = mapped_column(TIME)


class RestoredMeant(Base):
    """A human's word that one more payment like this one is meant, for one agent, until it was made."""

    __tablename__ = "restored_meant"
    __table_args__ = (Index("ix_restored_meant_transaction_id_agent_id", "transaction_id", "agent_id"),)

    id: Mapped[UUID] = mapped_column(UUID_, primary_key=True, default=uuid4)
    transaction_id: Mapped[UUID] = mapped_column(ForeignKey("restored_transactions.id"))
    agent_id: Mapped[UUID] = mapped_column(UUID_)
    said_by: Mapped[UUID] = mapped_column(UUID_)
    said_at: Mapped[datetime] = mapped_column(TIME, server_default=func.clock_timestamp())
    used_at: Mapped[datetime | None] = mapped_column(TIME)
