"""A human's word that one more payment like a found one is meant."""

from uuid import UUID, uuid4

from sqlalchemy import text

from chains.hexdata import format_data
from vault.agents.repository import agent_org
from vault.audit.write import write_in
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import not_found

_FIND = text("""
    SELECT id, chain FROM restored_transactions WHERE tx_hash = :tx_hash ORDER BY id LIMIT 1 FOR UPDATE
""")
# repeated, it is still one word for one payment
_SAY = text("""
    INSERT INTO restored_meant (id, transaction_id, agent_id, said_by)
    SELECT :id, :transaction_id, :agent_id, :by
    WHERE NOT EXISTS (SELECT FROM restored_meant WHERE transaction_id = :transaction_id AND agent_id = :agent_id
                      AND used_at IS NULL)
""")


async def say_meant(context: Context, caller: Caller, agent_id: UUID, tx_hash: bytes) -> None:
    """Let this agent make one payment that is equal to this transaction; 404 for an unknown one of either."""
    async with context.database.begin() as connection:
        found = (await connection.execute(_FIND, {"tx_hash": tx_hash})).first()
        if found is None:
            raise not_found("No such transaction is listed (GET /v1/admin/restore).")
        org_id = await agent_org(connection, agent_id)
        if org_id is None:
            raise not_found("Agent not found")
        named = {"id": uuid4(), "transaction_id": found.id, "agent_id": agent_id, "by": caller.id}
        await connection.execute(_SAY, named)
        await write_in(
            connection,
            caller,
            org_id,
            "restore.meant",
            "agent",
            agent_id,
            chain=found.chain,
            tx_hash=format_data(tx_hash),
        )
