"""Devices and addresses that people have logged in from."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "known_places",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_known_places_user_id_users")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_known_places")),
    )
    op.create_index("ix_known_places_user_id", "known_places", ["user_id"], unique=False)
    op.create_index("ix_known_places_expires_at", "known_places", ["expires_at"], unique=False)
