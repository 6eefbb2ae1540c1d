"""Find a key by its address without going through every secret: wallets are asked about by their addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_secret_versions_address",
        "secret_versions",
        ["address"],
        postgresql_where=sa.text("address IS NOT NULL"),
    )
