"""What the signer says it signed, held against our transactions: a part of GET /v1/audit/verify.

A signature without a transaction is seen here, and every digest that had to make way for another at its nonce. By
account, not by key: whoever imported the same key elsewhere signs for the same funds.
"""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from vault.audit.compare import Comparison
from vault.audit.schemas import DisplacedResponse, UnaccountedResponse
from vault.clock.now import just_now
from vault.db import Database

MAX_COMPARED: Final = 5_000
MAX_LISTED: Final = 100
# A redemption is there before the transaction that it is for: no lock, statement or idle connection lives this long
SETTLED_AFTER_S: Final = 30

# Look-ups for each redemption, because NOT EXISTS would be planned as a join that reads all attempts there are
_COMPARE = text(f"""
    WITH own AS (
        SELECT DISTINCT k.address FROM vaults v JOIN secrets s ON s.vault_id = v.id
        JOIN secret_versions k ON k.secret_id = s.id WHERE v.org_id = :org AND k.key_id IS NOT NULL
    ), page AS MATERIALIZED (
        SELECT r.* FROM own CROSS JOIN LATERAL (
            SELECT * FROM signer.redemptions WHERE address = own.address AND sequence >= :first
              AND NOT {just_now("redeemed_at", ":settled_after_s")}
            ORDER BY sequence LIMIT :compared) r
        ORDER BY r.sequence LIMIT :compared
    ), judged AS (
        SELECT page.*, (SELECT a.id FROM attempts a WHERE a.digest = page.digest LIMIT 1) IS NULL
            AND (SELECT d.sequence FROM signer.redemptions d WHERE d.displaces = page.digest
                 AND d.address = page.address LIMIT 1) IS NULL AS unaccounted
        FROM page
    ), listed AS (
        SELECT judged.*, own_agents.id AS own_agent_id FROM judged
        LEFT JOIN agents own_agents ON own_agents.id = judged.agent_id AND own_agents.org_id = :org
        WHERE unaccounted OR displaces IS NOT NULL ORDER BY sequence LIMIT :listed + 1
    )
    SELECT ends.compared, ends.last, listed.* FROM (SELECT count(*) AS compared, max(sequence) AS last FROM page) ends
    LEFT JOIN listed ON true ORDER BY listed.sequence
""")  # noqa: S608 - made of a constant


async def compare(database: Database, org_id: UUID, first: int) -> Comparison:
    """At most `MAX_COMPARED` redemptions from the sequence `first` on, `MAX_LISTED` of which are listed."""
    async with database.statements() as connection:
        values = {
            "org": org_id,
            "first": first,
            "compared": MAX_COMPARED,
            "listed": MAX_LISTED,
            "settled_after_s": SETTLED_AFTER_S,
        }
        rows = list(await connection.execute(_COMPARE, values))
    ends, found = rows[0], [row for row in rows if row.sequence is not None]
    next_sequence = ends.last + 1 if ends.compared == MAX_COMPARED else None
    if len(found) > MAX_LISTED:
        next_sequence = found.pop().sequence
    return Comparison(
        [_displaced(row) for row in found if row.displaces is not None] or None,
        [UnaccountedResponse(**_facts(row)) for row in found if row.unaccounted] or None,
        next_sequence,
    )


def _displaced(row: Any) -> DisplacedResponse:
    return DisplacedResponse(displaced_digest=_hex(row.displaces), reason=row.reason, **_facts(row))


def _facts(row: Any) -> dict[str, Any]:
    return {
        "digest": _hex(row.digest),
        "kind": row.kind,
        "chain_id": int(row.chain_id),
        "address": _hex(row.address),
        "nonce": int(row.nonce),
        "value_wei": str(int(row.value_wei)),
        "approval_id": row.approval_id,
        "agent_id": row.own_agent_id,
        "signed_at": row.redeemed_at,
    }


def _hex(data: bytes) -> str:
    return f"0x{bytes(data).hex()}"
