"""Refuse what is equal to a transaction that a restored copy found on chain: most likely its agent repeats a payment.

The agent never got an answer, or its copy of it went with the database. For 24 h after the opening a human's word is
needed that one more is meant (`intents.restored.meant`): it lifts this for one payment of that agent.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.hexdata import format_data
from intents.draft import Draft
from intents.restored.keep import data_hash
from vault.clock.now import BELIEVED_NOW
from vault.errors import Problem
from vault.metrics import counts

# without a clock that is believed it does not end
_FIND: Final = text(f"""
    SELECT t.tx_hash, m.id AS meant
    FROM restored_transactions t JOIN restores r ON r.id = t.restore_id
    LEFT JOIN restored_meant m ON m.transaction_id = t.id AND m.agent_id = :agent_id AND m.used_at IS NULL
    WHERE t.chain_id = :chain_id AND t.address = :address AND t.to_address = :to AND t.value_wei = :value_wei
      AND t.data_hash = :data_hash AND t.tx_hash IS NOT NULL
      AND (r.opened_at IS NULL OR (r.opened_at <= {BELIEVED_NOW} - interval '24 hours') IS NOT TRUE)
    ORDER BY (m.id IS NULL), t.nonce LIMIT 1
""")  # noqa: S608 - made of a constant
_USE: Final = text("""
    UPDATE restored_meant SET used_at = clock_timestamp() WHERE id = :id AND used_at IS NULL
""")


async def require_new(
    connection: AsyncConnection, agent_id: UUID, draft: Draft, address: bytes, *, binding: bool
) -> None:
    """409 `restored_transaction` for one that is on chain already and was not said to be meant once more.

    `binding` is for under the agent's budget lock, and takes the human's word for this payment.
    """
    found = (
        await connection.execute(
            _FIND,
            {
                "agent_id": agent_id,
                "chain_id": draft.chain.chain_id,
                "address": address,
                "to": draft.to,
                "value_wei": draft.value_wei,
                "data_hash": data_hash(draft.data),
            },
        )
    ).first()
    if found is None:
        return
    if found.meant is None:
        raise _refusal(draft, bytes(found.tx_hash))
    if binding and (await connection.execute(_USE, {"id": found.meant})).rowcount != 1:
        raise _refusal(draft, bytes(found.tx_hash))


def _refusal(draft: Draft, tx_hash: bytes) -> Problem:
    counts.denied("restore", "restored_transaction")
    return Problem(
        409,
        f"This is equal to transaction {format_data(tx_hash)}, which {draft.chain.name} holds and this copy of the"
        " database lost: nothing was signed, so that it is not paid twice. If one more is meant, the platform's"
        " administrator says so (POST /v1/admin/restore/meant).",
        type="restored_transaction",
        title="Restored Transaction",
        extra={"tx_hash": format_data(tx_hash)},
    )
