"""What opening a restored copy means for its wallets: what was listed is accounted for."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.columns import AnyRow
from vault.errors import conflict

# the human has seen the list, so the chain's count is gone by without anybody else's word
_ACCEPT = text("""
    INSERT INTO wallets AS w (chain_id, address, next_nonce, accounted_to, compared_epoch)
    SELECT chain_id, address, mined, mined, (SELECT start_epoch FROM instance) FROM restored_wallets
    WHERE restore_id = :restore_id AND mined > low ORDER BY chain_id, address
    ON CONFLICT (chain_id, address) DO UPDATE
    SET next_nonce = GREATEST(w.next_nonce, excluded.next_nonce),
        accounted_to = GREATEST(w.accounted_to, excluded.accounted_to),
        compared_epoch = excluded.compared_epoch, stopped_at = NULL, stopped_why = NULL
""")


async def accept(connection: AsyncConnection, restore: AnyRow) -> None:
    """In the transaction that opens it: its wallets go on from where their chains are.

    409 for a restore that is not listed, or not counted yet: it is no time to open it.
    """
    if restore.listed_at is None:
        raise conflict("What this copy does not know is not listed yet (GET /v1/admin/restore): it stays frozen.")
    if restore.counted_at is None:
        raise conflict("What was listed is not counted yet (POST /v1/admin/restore/count): it stays frozen.")
    await connection.execute(_ACCEPT, {"restore_id": restore.id})
