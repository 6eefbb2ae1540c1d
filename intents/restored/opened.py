"""Open a restored copy on a human's word: what was listed is accounted for, and its wallets go on from there."""

from sqlalchemy import text

from vault.audit.write import write_for
from vault.auth.again import still
from vault.auth.caller import Caller
from vault.auth.dependencies import platform_admin
from vault.clock.now import LATEST_NOW
from vault.context import Context
from vault.errors import conflict
from vault.restores import gate

# The human has seen the list: what all endpoints count is accounted for, and what a signature proves, not what a
# single one may make up.
_ACCEPT = text("""
    INSERT INTO wallets AS w (chain_id, address, next_nonce, accounted_to)
    SELECT chain_id, address, counted, counted FROM (
        SELECT rw.chain_id, rw.address, rw.low, GREATEST(rw.agreed, (
            SELECT max(t.nonce) + 1 FROM restored_transactions t
            WHERE t.restore_id = rw.restore_id AND t.chain_id = rw.chain_id AND t.address = rw.address
              AND t.tx_hash IS NOT NULL)) AS counted
        FROM restored_wallets rw WHERE rw.restore_id = :restore_id
    ) listed WHERE counted > low ORDER BY chain_id, address
    ON CONFLICT (chain_id, address) DO UPDATE
    SET next_nonce = GREATEST(w.next_nonce, excluded.next_nonce),
        accounted_to = GREATEST(w.accounted_to, excluded.accounted_to),
        stopped_at = NULL, stopped_why = NULL
""")
# All chains are asked again, as at a start, before any wallet signs: what came after the list is not in it, and
# freezes or stops anew.
_ASK_AGAIN = (
    text("UPDATE wallets SET compared_epoch = NULL WHERE compared_epoch IS NOT NULL"),
    text("DELETE FROM chains_compared"),
)
# from then on 24 h, for which nothing is paid twice by mistake
_OPEN = text(f"""
    UPDATE restores SET opened_at = {LATEST_NOW}, opened_by = :by WHERE id = :restore_id AND opened_at IS NULL
""")  # noqa: S608 - made of a constant


async def open_copy(context: Context, caller: Caller) -> None:
    """Do it; 409 where nothing is frozen, and before everything is listed and counted."""
    async with context.database.begin() as connection:
        await gate.close(connection)
        restore = await gate.find(connection)
        if restore is None:
            raise conflict("This instance is not frozen: there is nothing to open.")
        if restore.listed_at is None:
            raise conflict("What this copy does not know is not listed yet (GET /v1/admin/restore): it stays frozen.")
        if restore.counted_at is None:
            raise conflict("What was listed is not counted yet (POST /v1/admin/restore/count): it stays frozen.")
        await platform_admin(await still(connection, caller))
        await connection.execute(_ACCEPT, {"restore_id": restore.id})
        for statement in _ASK_AGAIN:
            await connection.execute(statement)
        await connection.execute(_OPEN, {"restore_id": restore.id, "by": caller.id})
        await write_for(connection, caller, "restore.open", "restore", restore.id, found_by=restore.found_by)
