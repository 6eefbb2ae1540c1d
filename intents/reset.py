"""A chain was reset under its old id: what was signed for the one before leaves the nonces of the new one free.

Nothing of it is sent again. Its bytes may be valid on the new chain, where the id is the same: what was not in a
final block stays counted and is still looked for by its hash, until its nonce is settled there or a human frees it.
What was in a final block was paid once on the chain before and counts its 24 h like everything paid.
"""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.chain import Chain
from intents import witness
from vault.audit.write import write
from vault.auth.caller import Caller
from vault.bounded import be_patient
from vault.networks import repository

log = logging.getLogger(__name__)

MAX_ORGS = 1_000

# in one order, as everybody who locks more than one
_LOCK = text("SELECT address FROM wallets WHERE chain_id = :chain_id ORDER BY address FOR UPDATE")
# by an admin's word or by the local chain's own first block: a long history takes its time
PATIENCE_S = 120
_MARK = text("""
    UPDATE transactions SET chain_reset_at = clock_timestamp(),
           error_message = CASE WHEN final_at IS NULL
               THEN 'The chain was reset; this was signed for the one before.' ELSE error_message END
    WHERE chain_id = :chain_id AND chain_reset_at IS NULL AND nonce IS NOT NULL
""")
# what its nonces were used for is asked anew as well
_START = text("""
    UPDATE wallets SET next_nonce = 0, resynced_at = NULL, accounted_to = NULL, compared_epoch = NULL
    WHERE chain_id = :chain_id
""")
_ORGS = text("""
    SELECT DISTINCT org_id FROM transactions WHERE chain_id = :chain_id AND chain_reset_at IS NULL
      AND nonce IS NOT NULL LIMIT :max_orgs
""")
_SIGNED = text("""
    SELECT count(final_at) AS final, count(*) - count(final_at) AS waiting FROM transactions
    WHERE chain_id = :chain_id AND chain_reset_at IS NULL AND nonce IS NOT NULL
""")


@dataclass(frozen=True)
class Reset:
    """How many transactions and wallets belonged to the chain that is gone."""

    transactions: int
    wallets: int


async def signed(connection: AsyncConnection, chain_id: int) -> tuple[int, int]:
    """How many transactions of the chain are final, and how many are not: in flight, or handed out."""
    row = (await connection.execute(_SIGNED, {"chain_id": chain_id})).one()
    return row.final, row.waiting


async def reset(
    connection: AsyncConnection, chain: Chain, genesis_hash: bytes, by: Caller | None, gone: bytes | None = None
) -> Reset | None:
    """Go over to the chain that began with `genesis_hash`; None when somebody did that already.

    `gone` is the last final block of the chain before, where both began with the same one.
    `by` is the platform's admin, None for the local chain, which says so itself. Every organisation concerned finds
    it in its audit log.
    """
    named: dict[str, Any] = {"chain_id": chain.chain_id}
    await be_patient(connection, PATIENCE_S)
    wallets = list(await connection.execute(_LOCK, named))
    # two admins at once: what was signed on the new chain since the first is not set aside by the second
    if gone is not None and await witness.of_chain(connection, chain.chain_id) != gone:
        return None
    if not await repository.set_genesis(connection, chain.chain_id, chain.genesis_hash, genesis_hash):
        return None
    orgs = set((await connection.execute(_ORGS, named | {"max_orgs": MAX_ORGS})).scalars())
    marked = await connection.execute(_MARK, named)
    await connection.execute(_START, named)
    done = Reset(marked.rowcount, len(wallets))
    await _audit(connection, chain, genesis_hash, by, orgs, done)
    log.warning(
        "chain %s (%d) was reset: it begins with 0x%s now; %d transactions of the one before are set aside",
        chain.name,
        chain.chain_id,
        genesis_hash.hex(),
        done.transactions,
    )
    return done


async def _audit(
    connection: AsyncConnection, chain: Chain, genesis_hash: bytes, by: Caller | None, orgs: set[UUID], done: Reset
) -> None:
    details = {"chain": chain.name, "genesis_hash": f"0x{genesis_hash.hex()}"}
    own = {by.org_id} if by else set()
    for org_id in sorted(orgs | own):
        mine = by if by is not None and by.org_id == org_id else None
        await write(
            connection,
            org_id=org_id,
            actor_type=mine.kind if mine else "system",
            actor_id=str(mine.id) if mine else "talon",
            action="chain.reset",
            resource_type="chain",
            resource_id=str(chain.chain_id),
            details=details | ({"transactions": done.transactions, "wallets": done.wallets} if mine else {}),
            ip_address=mine.ip_address if mine else None,
        )
