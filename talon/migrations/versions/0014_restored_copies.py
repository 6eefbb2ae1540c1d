"""Which instance this is and how far it came, and each time that the database was found to be an older copy."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

AT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "instance",
        sa.Column("is_only", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("start_epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("is_only", name=op.f("ck_instance_only_one")),
        sa.PrimaryKeyConstraint("is_only", name=op.f("pk_instance")),
    )
    op.execute("INSERT INTO instance DEFAULT VALUES")
    op.create_table(
        "restores",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("found_at", AT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("found_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("listed_at", AT),
        sa.Column("counted_at", AT),
        sa.Column("credentials_ended_at", AT),
        sa.Column("opened_at", AT),
        sa.Column("opened_by", sa.UUID()),
        sa.CheckConstraint("found_by IN ('restore', 'epoch', 'chain')", name=op.f("ck_restores_found_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restores")),
    )
    op.create_index(
        "uq_restores_open",
        "restores",
        [sa.text("(opened_at IS NULL)")],
        unique=True,
        postgresql_where=sa.text("opened_at IS NULL"),
    )
