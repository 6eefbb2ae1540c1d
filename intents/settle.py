"""What the chain decided, written down: mined, final, failed, and back again after a reorganisation.

Every change is conditional on the states it may start from, and moves the ledger in the same transaction.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from intents import budget
from intents.answers import Receipt
from intents.status import FROM, IN_FLIGHT, Status
from vault.db import Database

_MINED = text("""
    UPDATE transactions SET block_number = :block_number, block_hash = :block_hash, block_at = :block_at,
           gas_used = :gas_used, effective_gas_price = :effective_gas_price, succeeded = :succeeded,
           status = CASE WHEN status = 'sign_only' THEN status ELSE 'mined' END,
           error_message = CASE WHEN CAST(:succeeded AS boolean) IS FALSE
                                THEN 'The transaction was mined but its execution reverted on chain.' END
    WHERE id = :id AND final_at IS NULL AND status = ANY(:from)
""")

# freed on a human's word, and in a block all the same
_FREED = text("""
    SELECT 1 FROM spend_reservations WHERE transaction_id = :id AND state = 'released'
""")

_FINAL = text("""
    UPDATE transactions SET final_at = clock_timestamp(),
           status = CASE WHEN status = 'sign_only' THEN status ELSE 'final' END
    WHERE id = :id AND block_hash = :block_hash AND final_at IS NULL AND status = ANY(:from)
""")

_FAIL = text("""
    UPDATE transactions SET final_at = clock_timestamp(), error_message = :message,
           status = CASE WHEN status = 'sign_only' THEN status ELSE 'failed' END,
           block_number = NULL, block_hash = NULL, block_at = NULL, gas_used = NULL,
           effective_gas_price = NULL, succeeded = NULL
    WHERE id = :id AND final_at IS NULL AND status = ANY(:from)
    RETURNING status
""")

_EXPLAIN = text("""
    UPDATE transactions SET error_message = :message
    WHERE id = :id AND final_at IS NULL AND block_number IS NULL AND status = ANY(:in_flight)
      AND error_message IS DISTINCT FROM :message
""")

_UNMINE = text("""
    UPDATE transactions SET status = CASE WHEN status = 'sign_only' THEN status ELSE 'broadcast' END,
           final_at = NULL, block_number = NULL, block_hash = NULL,
           block_at = NULL, gas_used = NULL, effective_gas_price = NULL, succeeded = NULL, error_message = NULL
    WHERE id = :id AND block_number IS NOT NULL AND status = ANY(:from)
""")

# the bytes are no longer in the node either: have the worker send them again on this pass
_UNSEND = text("UPDATE attempts SET sent_at = NULL WHERE transaction_id = :id")

_BEYOND = text("""
    SELECT id, agent_id, block_number, block_hash FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce >= :mined_nonce
      AND block_number IS NOT NULL AND status = ANY(:from) AND (:with_final OR final_at IS NULL)
      AND chain_reset_at IS NULL
    ORDER BY nonce LIMIT 200
""")

_REOPEN_GIVEN_UP = text("""
    WITH reopened AS (
        UPDATE transactions SET status = 'broadcast', final_at = NULL
        WHERE chain_id = :chain_id AND wallet_address = :address AND nonce >= :mined_nonce
          AND status = 'failed' AND given_up_at IS NOT NULL AND chain_reset_at IS NULL
        RETURNING id
    )
    UPDATE attempts SET sent_at = NULL FROM reopened WHERE transaction_id = reopened.id AND kind = 'filler'
""")

_IN_BLOCKS = [Status.MINED.value, Status.FINAL.value, Status.SIGN_ONLY.value]


def _from(target: Status) -> list[str]:
    return [status.value for status in (*FROM[target], Status.SIGN_ONLY)]


async def mined(
    database: Database, agent_id: UUID, transaction_id: UUID, receipt: Receipt, block_at: datetime | None
) -> None:
    """In a block: its value counts for 24 h from the later of reservation and block, or from now if unknown."""
    async with database.begin() as connection:
        # who frees spend on a human's word holds this too: it is freed before the look below, or not at all
        await budget.lock(connection, agent_id)
        changed = await connection.execute(
            _MINED,
            {
                "id": transaction_id,
                "from": _from(Status.MINED),
                "block_number": receipt.block_number,
                "block_hash": receipt.block_hash,
                "block_at": block_at,
                "gas_used": receipt.gas_used,
                "effective_gas_price": receipt.effective_gas_price,
                "succeeded": receipt.succeeded,
            },
        )
        if changed.rowcount:
            if (await connection.execute(_FREED, {"id": transaction_id})).first() is not None:
                await budget.recount(connection, agent_id, transaction_id)
            await budget.settle(connection, transaction_id, block_at)


async def final(database: Database, transaction_id: UUID, block_hash: bytes) -> None:
    """In this final block: nothing more can happen to it. Nothing changes when it was seen in another meanwhile."""
    async with database.begin() as connection:
        named = {"id": transaction_id, "block_hash": block_hash, "from": _from(Status.FINAL)}
        await connection.execute(_FINAL, named)


async def fail(database: Database, agent_id: UUID, transaction_id: UUID, message: str) -> None:
    """Its nonce was settled for good by something else: `failed`, and its reservation is released.

    The caller holds the proof. A sign-only transaction keeps its status: it never was Talon's to send.
    """
    async with database.begin() as connection:
        await budget.lock(connection, agent_id)
        changed = await connection.execute(
            _FAIL, {"id": transaction_id, "from": _from(Status.FAILED), "message": message}
        )
        if changed.rowcount:
            # a reservation that was settled by a block that is gone is open again before it can be released
            await budget.reopen(connection, agent_id, transaction_id)
            await budget.release(connection, agent_id, transaction_id)


async def explain(database: Database, transaction_id: UUID, message: str) -> None:
    """Say why a transaction in flight has to wait."""
    async with database.statements() as connection:
        await connection.execute(
            _EXPLAIN, {"id": transaction_id, "message": message, "in_flight": [status.value for status in IN_FLIGHT]}
        )


async def unmine(database: Database, agent_id: UUID, transaction_id: UUID) -> None:
    """A reorganisation took the block away: in flight again, to be sent again, counted without end again."""
    async with database.begin() as connection:
        await budget.lock(connection, agent_id)
        changed = await connection.execute(_UNMINE, {"id": transaction_id, "from": _IN_BLOCKS})
        if changed.rowcount:
            await budget.reopen(connection, agent_id, transaction_id)
            await connection.execute(_UNSEND, {"id": transaction_id})


async def beyond(
    database: Database, chain_id: int, address: bytes, mined_nonce: int, *, with_final: bool
) -> list[Any]:
    """Transactions we saw in blocks while the chain's nonce is below theirs; at most 200 rows."""
    async with database.statements() as connection:
        return list(
            await connection.execute(
                _BEYOND,
                {
                    "chain_id": chain_id,
                    "address": address,
                    "mined_nonce": mined_nonce,
                    "from": _IN_BLOCKS,
                    "with_final": with_final,
                },
            )
        )


async def reopen_given_up(database: Database, chain_id: int, address: bytes, mined_nonce: int) -> None:
    """Failed transactions whose filler's block the chain has lost: the filler is to be sent again."""
    async with database.statements() as connection:
        await connection.execute(
            _REOPEN_GIVEN_UP, {"chain_id": chain_id, "address": address, "mined_nonce": mined_nonce}
        )
