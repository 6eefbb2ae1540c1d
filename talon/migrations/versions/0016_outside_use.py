"""What a wallet's chain counts beside what we signed, and what a restored copy finds there."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

AT = postgresql.TIMESTAMP(timezone=True)
WEI = sa.Numeric(78, 0)


def upgrade() -> None:
    for column in (
        sa.Column("accounted_to", sa.BigInteger()),
        sa.Column("compared_epoch", sa.BigInteger()),
        sa.Column("stopped_at", AT),
        sa.Column("stopped_why", sa.Text()),
        sa.Column("drifted_at", AT),
        sa.Column("told_at", AT),
    ):
        op.add_column("wallets", column)
    op.create_index(
        "ix_wallets_outside",
        "wallets",
        ["chain_id", "address"],
        postgresql_where=sa.text("stopped_at IS NOT NULL OR drifted_at IS NOT NULL"),
    )
    # what was used before is ours, or was gone along with: the signer's list of digests does not reach back that far
    op.execute("UPDATE wallets SET accounted_to = next_nonce")
    op.create_table(
        "chains_compared",
        sa.Column("is_only", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("is_only", name=op.f("ck_chains_compared_only_one")),
        sa.PrimaryKeyConstraint("is_only", name=op.f("pk_chains_compared")),
    )
    op.create_table(
        "restored_chains",
        sa.Column("restore_id", sa.UUID(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("asked_at", AT),
        sa.PrimaryKeyConstraint("restore_id", "chain_id", name=op.f("pk_restored_chains")),
    )
    op.create_table(
        "restored_wallets",
        sa.Column("restore_id", sa.UUID(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("low", sa.BigInteger(), nullable=False),
        sa.Column("agreed", sa.BigInteger(), nullable=False),
        sa.Column("mined", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.Integer(), server_default="0", nullable=False),
        sa.Column("listed_at", AT),
        sa.PrimaryKeyConstraint("restore_id", "chain_id", "address", name=op.f("pk_restored_wallets")),
    )
    op.create_table(
        "restored_transactions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("restore_id", sa.UUID(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("last_nonce", sa.BigInteger()),
        sa.Column("tx_hash", sa.LargeBinary()),
        sa.Column("to_address", sa.LargeBinary()),
        sa.Column("value_wei", WEI),
        sa.Column("data_hash", sa.LargeBinary()),
        sa.Column("data_head", sa.LargeBinary()),
        sa.Column("data_length", sa.Integer()),
        sa.Column("block_number", sa.BigInteger()),
        sa.Column("block_at", AT),
        sa.Column("agents", postgresql.ARRAY(sa.UUID()), nullable=False),
        sa.Column("entered_at", AT),
        sa.Column("entered_by", sa.UUID()),
        sa.CheckConstraint(
            "tx_hash IS NULL OR value_wei IS NOT NULL", name=op.f("ck_restored_transactions_found_with_value")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restored_transactions")),
        sa.UniqueConstraint(
            "restore_id",
            "chain_id",
            "address",
            "nonce",
            name=op.f("uq_restored_transactions_restore_id_chain_id_address_nonce"),
        ),
    )
    op.create_index(
        "ix_restored_transactions_alike",
        "restored_transactions",
        ["chain_id", "address", "to_address", "value_wei"],
    )
    op.create_index(
        "ix_restored_transactions_tx_hash",
        "restored_transactions",
        ["tx_hash"],
        postgresql_where=sa.text("tx_hash IS NOT NULL"),
    )
    op.create_table(
        "restored_spend",
        sa.Column("transaction_id", sa.UUID(), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("value_wei", WEI),
        sa.Column("counted_from", AT, nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["restored_transactions.id"],
            name=op.f("fk_restored_spend_transaction_id_restored_transactions"),
        ),
        sa.PrimaryKeyConstraint("transaction_id", "agent_id", name=op.f("pk_restored_spend")),
    )
    op.create_index("ix_restored_spend_agent_id", "restored_spend", ["agent_id"])
    op.create_table(
        "restored_meant",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("transaction_id", sa.UUID(), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("said_by", sa.UUID(), nullable=False),
        sa.Column("said_at", AT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("used_at", AT),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["restored_transactions.id"],
            name=op.f("fk_restored_meant_transaction_id_restored_transactions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restored_meant")),
    )
    op.create_index("ix_restored_meant_transaction_id_agent_id", "restored_meant", ["transaction_id", "agent_id"])
