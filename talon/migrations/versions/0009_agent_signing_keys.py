"""Which secret an agent's signing_key_path stands for; so far that of its last signature."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent_signing_keys",
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.Column("vault_id", sa.UUID(), nullable=False),
        sa.Column("secret_id", sa.UUID(), nullable=False),
        sa.Column("bound_by", sa.UUID(), nullable=True),
        sa.Column(
            "bound_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("agent_id", "path", name=op.f("pk_agent_signing_keys")),
    )
    # a transaction names its key, and a key lies at one path
    op.execute(
        """
        INSERT INTO agent_signing_keys (agent_id, path, vault_id, secret_id, bound_at)
        SELECT DISTINCT ON (t.agent_id, s.path) t.agent_id, s.path, s.vault_id, s.id, t.signed_at
        FROM transactions t
        JOIN secret_versions v ON v.key_id = t.key_id
        JOIN secrets s ON s.id = v.secret_id
        WHERE t.signed_at IS NOT NULL
        ORDER BY t.agent_id, s.path, t.signed_at DESC
        """
    )
