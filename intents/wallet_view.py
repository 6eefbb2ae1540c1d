"""A wallet's nonces as a human of an organisation that holds its key may see them."""

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import format_address
from chains.chain import Chain
from chains.errors import NoEndpoint
from chains.nonces import Counts, choose
from intents import counts, wallets
from vault.context import Context
from vault.errors import not_found

MAX_OPEN = 100

# whatever became of the key's version: what was signed with it is seen through
_HELD = text("""
    SELECT 1 FROM secret_versions k JOIN secrets s ON s.id = k.secret_id JOIN vaults v ON v.id = s.vault_id
    WHERE k.address = :address AND k.key_id IS NOT NULL AND v.org_id = :org_id LIMIT 1
""")
_OPEN = text("""
    SELECT id, org_id, agent_id, nonce, status, given_up_at IS NOT NULL AS given_up, count(*) OVER () AS open_count
    FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND final_at IS NULL AND chain_reset_at IS NULL
      AND status <> 'sign_only'
    ORDER BY nonce LIMIT :max_open
""")
_ROW = text("""
    SELECT next_nonce, resynced_at, stopped_at, stopped_why FROM wallets
    WHERE chain_id = :chain_id AND address = :address
""")
_ABOVE = text("""
    SELECT count(*) FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce >= :from AND final_at IS NULL
      AND status <> 'sign_only' AND chain_reset_at IS NULL
""")


async def require_key(connection: AsyncConnection, org_id: UUID, address: bytes) -> None:
    """404 unless the organisation holds the key; known to others or to nobody, the answer is the same."""
    if (await connection.execute(_HELD, {"org_id": org_id, "address": address})).first() is None:
        raise not_found("Wallet not found")


async def endpoints(context: Context, chain: Chain, address: bytes) -> list[Counts | None]:
    """What each endpoint says now, None for one that does not answer; empty where there is none."""
    try:
        client = context.chains.for_chain(chain)
    except NoEndpoint:
        return []
    return await counts.ask_each(client, address)


async def show(
    connection: AsyncConnection, org_id: UUID, chain: Chain, address: bytes, said: list[Counts | None]
) -> dict[str, Any]:
    """The fields of a `WalletReply`; the chain was asked before."""
    named: dict[str, Any] = {"chain_id": chain.chain_id, "address": address}
    row = (await connection.execute(_ROW, named)).first()
    tracked = int(row.next_nonce) if row else 0
    answered = [each for each in said if each is not None]
    by = gap = above = None
    if answered:
        known = await wallets.known(connection, chain.chain_id, address, min(each.mined for each in answered))
        by = choose(answered[0], answered, known) or min(answered, key=lambda each: each.next)
    if by is not None:
        ours = await wallets.occupied(connection, chain.chain_id, address, by.mined, tracked)
        gap = max(tracked - by.mined - ours, 0)
        first_free = await wallets.first_free(connection, chain.chain_id, address, by.mined)
        above = int((await connection.execute(_ABOVE, named | {"from": first_free})).scalar_one())
    opened = list(await connection.execute(_OPEN, named | {"max_open": MAX_OPEN}))
    return {
        "chain": chain.name,
        "chain_id": chain.chain_id,
        "address": format_address(address),
        "next_nonce": tracked,
        "mined": by.mined if by else None,
        "pending": by.next if by else None,
        "endpoints": [{"mined": each.mined, "pending": each.pending} if each else {} for each in said],
        "open_count": opened[0].open_count if opened else 0,
        "open": [_open(each, org_id) for each in opened],
        "gap": gap,
        "signed_above": above,
        "resynced_at": row.resynced_at if row else None,
        "stopped_at": row.stopped_at if row else None,
        "stopped_why": row.stopped_why if row else None,
    }


def _open(row: Any, org_id: UUID) -> dict[str, Any]:
    shown = {"nonce": row.nonce, "status": row.status, "given_up": row.given_up}
    return shown | ({"transaction_id": row.id, "agent_id": row.agent_id} if row.org_id == org_id else {})
