"""A path stands for its newest wallet first: a key that an agent brought is none, and comes by its version."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_secret_versions_current", table_name="secret_versions")
    op.create_index(
        "ix_secret_versions_current",
        "secret_versions",
        ["secret_id", sa.text("(key_id IS NULL OR unconfirmed)"), sa.text("version DESC")],
        postgresql_where=sa.text("disabled_at IS NULL AND deleted_at IS NULL"),
    )
