"""Who put something out of reach and when, so that it can be undone; the current version of a path in one step."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("secret_versions", sa.Column("disabled_by", sa.UUID(), nullable=True))
    op.add_column("secret_versions", sa.Column("deleted_by", sa.UUID(), nullable=True))
    op.add_column("vaults", sa.Column("deleted_by", sa.UUID(), nullable=True))
    op.add_column("organisations", sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.create_index(
        "ix_organisations_closed_at",
        "organisations",
        ["closed_at", "id"],
        postgresql_where=sa.text("closed_at IS NOT NULL"),
    )
    op.create_index(
        "ix_secret_versions_current",
        "secret_versions",
        ["secret_id", sa.text("(key_id IS NULL)"), sa.text("version DESC")],
        postgresql_where=sa.text("disabled_at IS NULL AND deleted_at IS NULL"),
    )
