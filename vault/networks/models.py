"""The chains table: the registry that turns every spelling of a chain into one canonical id."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, Text, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.columns import Wei
from vault.db import Base

LIVE = sql("deleted_at IS NULL")


class ChainRow(Base):
    """One chain. Removing it sets `deleted_at`, so that seeding does not bring back what an admin removed.

    `max_gas_cost_wei` is the ceiling on gas limit times fee cap of one transaction; `confirmations` is the number
    of blocks after which a transaction counts as final. `genesis_hash` is that of the chain's first block, from the
    first endpoint that named it: another one under the same id is another chain; `max_tx_gas` is the most gas
    that the chain's rules allow one transaction, NULL without such a rule.
    """

    __tablename__ = "chains"
    __table_args__ = (
        Index("uq_chains_name", "name", unique=True, postgresql_where=LIVE),
        Index("uq_chains_chain_id", "chain_id", unique=True, postgresql_where=LIVE),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Text)
    display_name: Mapped[str] = mapped_column(Text)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    native_currency: Mapped[str] = mapped_column(Text, default="ETH")
    is_testnet: Mapped[bool] = mapped_column(Boolean, default=False)
    is_enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    rpc_url: Mapped[str | None] = mapped_column(Text)
    ws_url: Mapped[str | None] = mapped_column(Text)
    explorer_url: Mapped[str | None] = mapped_column(Text)
    max_gas_cost_wei: Mapped[int] = mapped_column(Wei)
    confirmations: Mapped[int] = mapped_column(Integer)
    max_tx_gas: Mapped[int | None] = mapped_column(BigInteger)
    genesis_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    deleted_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
