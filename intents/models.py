"""The tables of the engine. Locks are always taken in this order: claim, agent budget, wallet.

`agent_budgets` and `wallets` are rows to lock and nothing references them, so that a lock on one never blocks
an insert elsewhere through a foreign key.
"""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Boolean, Computed, ForeignKey, Index, LargeBinary, SmallInteger, Text, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.columns import Wei, WeiSum
from vault.db import Base

UUID_ = PgUUID(as_uuid=True)
TIME = TIMESTAMP(timezone=True)


class Wallet(Base):
    """One account on one chain: the lock that makes its nonces gapless. `next_nonce` is the next free one.

    `resynced_at` is when it last went back to the chain's count: from then on it may meet nonces with old bytes.

    What somebody else may have signed with its key (`intents.outside`): all nonces below `accounted_to` are ours, or
    were used before it came to us (null: never compared). `compared_epoch` is the start (`instance.start_epoch`) at
    which its chain was asked. `stopped_at` and `stopped_why` keep it from signing until a human opens it,
    `drifted_at` is when an imported key was last seen to be used elsewhere, `told_at` when its people were last told.
    """

    __tablename__ = "wallets"
    __table_args__ = (
        Index(
            "ix_wallets_outside",
            "chain_id",
            "address",
            postgresql_where=sql("stopped_at IS NOT NULL OR drifted_at IS NOT NULL"),
        ),
    )

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    address: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    next_nonce: Mapped[int] = mapped_column(BigInteger, default=0)
    reconciled_at: Mapped[datetime | None] = mapped_column(TIME)
    resynced_at: Mapped[datetime | None] = mapped_column(TIME)
    accounted_to: Mapped[int | None] = mapped_column(BigInteger)
    compared_epoch: Mapped[int | None] = mapped_column(BigInteger)
    stopped_at: Mapped[datetime | None] = mapped_column(TIME)
    stopped_why: Mapped[str | None] = mapped_column(Text)
    drifted_at: Mapped[datetime | None] = mapped_column(TIME)
    told_at: Mapped[datetime | None] = mapped_column(TIME)


class AgentBudget(Base):
    """What an agent has spent in its rolling window: exactly the sum of its reservations with `in_window`."""

    __tablename__ = "agent_budgets"

    agent_id: Mapped[UUID] = mapped_column(UUID_, primary_key=True)
    window_wei: Mapped[int] = mapped_column(WeiSum, default=0)


class Transaction(Base):
    """One intent of an agent: what was asked, what was signed for it, and what the chain made of it.

    `chain_reset_at` says that it was signed for a chain that no longer exists under its id: its nonce is free again,
    but its bytes may be valid on the chain that is there now.
    """

    __tablename__ = "transactions"
    __table_args__ = (
        Index("ix_transactions_agent_id_created_at_id", "agent_id", "created_at", "id"),
        # the last line of defence against a nonce given out twice
        Index(
            "uq_transactions_wallet_nonce",
            "chain_id",
            "wallet_address",
            "nonce",
            unique=True,
            postgresql_where=sql("status <> 'sign_only' AND chain_reset_at IS NULL"),
        ),
        Index(
            "ix_transactions_open",
            "chain_id",
            "wallet_address",
            "nonce",
            postgresql_where=sql("final_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(UUID_, primary_key=True, default=uuid4)
    org_id: Mapped[UUID] = mapped_column(UUID_)
    agent_id: Mapped[UUID] = mapped_column(UUID_)
    key_id: Mapped[UUID] = mapped_column(UUID_)
    chain: Mapped[str] = mapped_column(Text)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    wallet_address: Mapped[bytes] = mapped_column(LargeBinary)
    to_address: Mapped[bytes] = mapped_column(LargeBinary)
    value_wei: Mapped[int] = mapped_column(Wei)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    transaction_type: Mapped[int | None] = mapped_column(SmallInteger)
    nonce: Mapped[int | None] = mapped_column(BigInteger)
    gas_limit: Mapped[int | None] = mapped_column(BigInteger)
    gas_price: Mapped[int | None] = mapped_column(Wei)
    max_fee_per_gas: Mapped[int | None] = mapped_column(Wei)
    max_priority_fee_per_gas: Mapped[int | None] = mapped_column(Wei)
    status: Mapped[str] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
    simulation_id: Mapped[UUID | None] = mapped_column(UUID_)
    simulation_status: Mapped[str | None] = mapped_column(Text)
    tx_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(TIME, server_default=func.clock_timestamp())
    signed_at: Mapped[datetime | None] = mapped_column(TIME)
    given_up_at: Mapped[datetime | None] = mapped_column(TIME)
    block_number: Mapped[int | None] = mapped_column(BigInteger)
    block_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    block_at: Mapped[datetime | None] = mapped_column(TIME)
    gas_used: Mapped[int | None] = mapped_column(BigInteger)
    effective_gas_price: Mapped[int | None] = mapped_column(Wei)
    succeeded: Mapped[bool | None] = mapped_column(Boolean)
    final_at: Mapped[datetime | None] = mapped_column(TIME)
    chain_reset_at: Mapped[datetime | None] = mapped_column(TIME)


class Attempt(Base):
    """Signed bytes for a transaction's nonce: committed before they are sent, and the only thing ever sent.

    `kind` is `submit` (the transaction itself), `filler` (a zero-value self transfer that settles the nonce of a
    transaction given up) or `sign_only` (handed to the agent, never sent by us). `tried_at` is when we last sent
    the bytes, `sent_at` when a node last took them. `digest` is what was signed, by which the signer knows them; null
    in rows older than this column that were settled already.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        Index("ix_attempts_transaction_id", "transaction_id"),
        Index("ix_attempts_digest", "digest"),
    )

    id: Mapped[UUID] = mapped_column(UUID_, primary_key=True, default=uuid4)
    transaction_id: Mapped[UUID] = mapped_column(ForeignKey("transactions.id"))
    kind: Mapped[str] = mapped_column(Text)
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    tx_hash: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(TIME, server_default=func.clock_timestamp())
    tried_at: Mapped[datetime | None] = mapped_column(TIME)
    sent_at: Mapped[datetime | None] = mapped_column(TIME)


class SpendReservation(Base):
    """The ledger behind the rolling limit: one row per signature that can move value.

    `open` counts however old it is; `settled` (mined) counts for 24 h from `counted_from`, the later of
    reservation and block; `released` counts no more. `in_window` says whether the row is in the budget's sum.
    """

    __tablename__ = "spend_reservations"
    __table_args__ = (
        Index("ix_spend_reservations_agent_id_reserved_at", "agent_id", "reserved_at"),
        Index(
            "ix_spend_reservations_window",
            "agent_id",
            "counted_from",
            postgresql_where=sql("in_window AND counted_from IS NOT NULL"),
        ),
    )

    transaction_id: Mapped[UUID] = mapped_column(ForeignKey("transactions.id"), primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(UUID_)
    value_wei: Mapped[int] = mapped_column(Wei)
    reserved_at: Mapped[datetime] = mapped_column(TIME, server_default=func.clock_timestamp())
    settled_at: Mapped[datetime | None] = mapped_column(TIME)
    state: Mapped[str] = mapped_column(Text, default="open")
    in_window: Mapped[bool] = mapped_column(Boolean, default=True)
    counted_from: Mapped[datetime | None] = mapped_column(
        TIME,
        Computed(
            "CASE WHEN settled_at IS NULL THEN NULL ELSE GREATEST(reserved_at, settled_at) END",
            persisted=True,
        ),
    )


class IdempotencyKey(Base):
    """A claim on an Idempotency-Key (its SHA-256, per agent), first in flight, then bound to its transaction."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    agent_id: Mapped[UUID] = mapped_column(UUID_, primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    draft_hash: Mapped[bytes] = mapped_column(LargeBinary)
    fence: Mapped[UUID] = mapped_column(UUID_)
    lease_until: Mapped[datetime] = mapped_column(TIME)
    transaction_id: Mapped[UUID | None] = mapped_column(UUID_)
    created_at: Mapped[datetime] = mapped_column(TIME, server_default=func.clock_timestamp())
