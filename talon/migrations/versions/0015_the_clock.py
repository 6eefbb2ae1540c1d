"""How far the database's clock may be believed. It begins with the newest that was written down."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

AT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "clock",
        sa.Column("is_only", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("believed_at", AT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("leash", AT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("boot_id", sa.Text()),
        sa.Column("boottime_s", sa.Double(), server_default="0", nullable=False),
        sa.Column("word", sa.Text()),
        sa.Column("doubt", sa.Text()),
        sa.Column("doubted_at", AT),
        sa.Column("why", sa.Text()),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("is_only", name=op.f("ck_clock_only_one")),
        sa.PrimaryKeyConstraint("is_only", name=op.f("pk_clock")),
    )
    op.execute("""
        INSERT INTO clock (believed_at, leash)
        SELECT since, since + interval '10 seconds' FROM (SELECT COALESCE(
            (SELECT created_at FROM audit_events ORDER BY sequence DESC LIMIT 1), clock_timestamp()) AS since) known
    """)
