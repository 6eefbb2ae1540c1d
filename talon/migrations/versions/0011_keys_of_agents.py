"""A signing key that an agent brought is no wallet until a human says so; those there so far stay what they were."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "secret_versions", sa.Column("unconfirmed", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
