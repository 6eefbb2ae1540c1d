"""Room for sums of amounts, and the most gas that a chain allows one transaction."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# EIP-7825, on Ethereum, its test network and the local chain; what an administrator adds later says it himself
CAPPED = sa.text("UPDATE chains SET max_tx_gas = 16777216 WHERE chain_id IN (1, 11155111, 31337)")


def upgrade() -> None:
    op.alter_column(
        "agent_budgets",
        "window_wei",
        type_=sa.Numeric(100, 0),
        existing_type=sa.Numeric(78, 0),
        existing_nullable=False,
    )
    op.add_column("chains", sa.Column("max_tx_gas", sa.BigInteger(), nullable=True))
    op.execute(CAPPED)
