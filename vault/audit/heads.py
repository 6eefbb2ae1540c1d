"""Have the signer look at every chain that has grown, and sign where it stands; it keeps the heads itself."""

from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import text

from signer.client import SignerClient
from signer.errors import AuditHeadRefused
from vault.db import Database

log = structlog.get_logger(__name__)

PAGE: Final = 200
MAX_PAGES: Final = 1_000
# of one chain in one go: what is left follows with the next round
MAX_PIECES: Final = 500
_NOBODY: Final = UUID(int=0)

# Chains longer than their newest head, organisation by organisation: two look-ups in an index for each.
_GROWN = text("""
    WITH RECURSIVE org(id) AS (
        (SELECT org_id FROM audit_seals WHERE org_id > :after ORDER BY org_id LIMIT 1)
        UNION ALL
        SELECT (SELECT org_id FROM audit_seals WHERE org_id > org.id ORDER BY org_id LIMIT 1) FROM org
        WHERE org.id IS NOT NULL
    )
    SELECT org.id AS org_id, COALESCE(head.position, 0) AS head
    FROM org CROSS JOIN LATERAL (
        SELECT position FROM audit_seals WHERE org_id = org.id ORDER BY position DESC LIMIT 1
    ) last LEFT JOIN LATERAL (
        SELECT position FROM audit_heads WHERE org_id = org.id ORDER BY position DESC LIMIT 1
    ) head ON true
    WHERE last.position > COALESCE(head.position, 0)
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
        for org_id, head in grown:
            try:
                signed += await sign_head(signer, org_id) > head
            except AuditHeadRefused:
                log.error("an audit chain contradicts its signed head", org_id=str(org_id))
        if len(grown) < PAGE:
            break
        after = grown[-1].org_id
    return signed


async def sign_head(signer: SignerClient, org_id: UUID) -> int:
    """Have the signer go along a chain to its end, piece by piece, and sign where it stands; returns the position.

    AuditHeadRefused when the chain contradicts an earlier head.
    """
    for _ in range(MAX_PIECES):
        advance = await signer.sign_audit_head(org_id)
        if advance.faults:
            log.error("an audit chain has seals that do not fit", org_id=str(org_id), seals=advance.faults)
        if not advance.is_more:
            break
    return advance.position
