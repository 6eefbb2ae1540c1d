"""Chains that were reset under their old id, and wallets that went back to the chain's count."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chains", sa.Column("genesis_hash", sa.LargeBinary(), nullable=True))
    op.add_column("wallets", sa.Column("resynced_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("transactions", sa.Column("chain_reset_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    # made before the old one goes, so that no moment is without this last line of defence
    op.create_index(
        "uq_transactions_wallet_nonce_live",
        "transactions",
        ["chain_id", "wallet_address", "nonce"],
        unique=True,
        postgresql_where=sa.text("status <> 'sign_only' AND chain_reset_at IS NULL"),
    )
    op.drop_index("uq_transactions_wallet_nonce", table_name="transactions")
    op.execute("ALTER INDEX uq_transactions_wallet_nonce_live RENAME TO uq_transactions_wallet_nonce")
