"""Have the HSM sign where every chain stands, and keep what it signed."""

from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert as upsert

from signer.client import SignerClient
from signer.errors import AuditHeadRefused
from vault.audit.chain import Head, moment_of
from vault.audit.models import AuditHead
from vault.db import Database

log = structlog.get_logger(__name__)

PAGE: Final = 200
MAX_PAGES: Final = 1_000
_NOBODY: Final = UUID(int=0)

# Chains longer than their newest head, organisation by organisation: two look-ups in an index for each.
_GROWN = text("""
    WITH RECURSIVE org(id) AS (
        (SELECT org_id FROM audit_seals WHERE org_id > :after ORDER BY org_id LIMIT 1)
        UNION ALL
        SELECT (SELECT org_id FROM audit_seals WHERE org_id > org.id ORDER BY org_id LIMIT 1) FROM org
        WHERE org.id IS NOT NULL
    )
    SELECT org.id AS org_id, last.position, last.integrity_hash
    FROM org CROSS JOIN LATERAL (
        SELECT position, integrity_hash FROM audit_seals WHERE org_id = org.id ORDER BY position DESC LIMIT 1
    ) last
    WHERE last.position > COALESCE(
        (SELECT position FROM audit_heads WHERE org_id = org.id ORDER BY position DESC LIMIT 1), 0)
    LIMIT :page
""")


async def sign_heads(database: Database, signer: SignerClient) -> int:
    """Sign the head of every chain with new seals; returns how many. Raises SignerUnavailable.

    A head that the signer refuses means that a chain was cut or rewritten: that is logged, and others go on.
    """
    signed, after = 0, _NOBODY
    for _ in range(MAX_PAGES):
        async with database.statements() as connection:
            grown = (await connection.execute(_GROWN, {"after": after, "page": PAGE})).all()
        for org_id, position, integrity_hash in grown:
            try:
                await sign_head(database, signer, org_id, position, integrity_hash)
                signed += 1
            except AuditHeadRefused:
                log.error("an audit chain contradicts its signed head", org_id=str(org_id), position=position)
        if len(grown) < PAGE:
            break
        after = grown[-1].org_id
    return signed


async def sign_head(
    database: Database, signer: SignerClient, org_id: UUID, position: int, integrity_hash: str
) -> Head:
    """Have one head signed and keep it; AuditHeadRefused when it contradicts an earlier one."""
    made = await signer.sign_audit_head(org_id, position, integrity_hash)
    head = Head(org_id, position, integrity_hash, made.kid, made.signature, moment_of(made.signed_at_us))
    async with database.statements() as connection:
        # signed once more, it says the same: the first one stays
        await connection.execute(upsert(AuditHead).values(**vars(head)).on_conflict_do_nothing())
    return head
