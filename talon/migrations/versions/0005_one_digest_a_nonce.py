"""One digest per address, chain and nonce in the signer's tables, and what its redemptions were for.

What may still be mined gets its digest and its place, so that it is protected from the first start on. What was
settled before keeps none: nothing is signed at its nonce again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chains.transactions import decode_signed, signing_digest

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UINT64 = sa.Numeric(20, 0)
PAGE = 1000

OPEN = sa.text("""
    SELECT a.id, a.raw FROM attempts a JOIN transactions t ON t.id = a.transaction_id
    WHERE t.final_at IS NULL AND t.chain_reset_at IS NULL AND a.digest IS NULL ORDER BY a.id LIMIT :page
""")
# where several were signed for a nonce, the one that we meant to be mined stands: the last one that is not sign-only
PLACES = """
    INSERT INTO signer.signed_nonces (address, chain_id, nonce, digest, handed_out, value_wei)
    SELECT DISTINCT ON (t.wallet_address, t.chain_id, t.nonce) t.wallet_address, t.chain_id, t.nonce, a.digest,
           EXISTS (SELECT FROM attempts o WHERE o.digest = a.digest AND o.kind = 'sign_only'),
           max(t.value_wei) OVER (PARTITION BY t.wallet_address, t.chain_id, t.nonce)
    FROM attempts a JOIN transactions t ON t.id = a.transaction_id
    WHERE a.digest IS NOT NULL AND t.final_at IS NULL AND t.chain_reset_at IS NULL
    ORDER BY t.wallet_address, t.chain_id, t.nonce, a.kind = 'sign_only', a.created_at DESC
"""


def upgrade() -> None:
    op.create_table(
        "signed_nonces",
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("chain_id", UINT64, nullable=False),
        sa.Column("nonce", UINT64, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("handed_out", sa.Boolean(), nullable=False),
        sa.Column("value_wei", sa.Numeric(), nullable=False),
        sa.Column("displaced", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column(
            "signed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("address", "chain_id", "nonce", name=op.f("pk_signed_nonces")),
        schema="signer",
    )
    for column in (
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=True),
        sa.Column("chain_id", UINT64, nullable=True),
        sa.Column("nonce", UINT64, nullable=True),
        sa.Column("value_wei", sa.Numeric(), nullable=True),
        sa.Column("displaces", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
    ):
        op.add_column("redemptions", column, schema="signer")
    op.create_index("ix_redemptions_address_sequence", "redemptions", ["address", "sequence"], schema="signer")
    op.create_index(
        "ix_redemptions_displaces",
        "redemptions",
        ["displaces"],
        schema="signer",
        postgresql_where=sa.text("displaces IS NOT NULL"),
    )
    op.add_column("attempts", sa.Column("digest", sa.LargeBinary(), nullable=True))
    _fill_digests()
    op.create_index("ix_attempts_digest", "attempts", ["digest"])
    op.execute(PLACES)


def _fill_digests() -> None:
    connection = op.get_bind()
    while rows := connection.execute(OPEN, {"page": PAGE}).all():
        digests = [{"id": row.id, "digest": signing_digest(decode_signed(bytes(row.raw))[0])} for row in rows]
        connection.execute(sa.text("UPDATE attempts SET digest = :digest WHERE id = :id"), digests)
