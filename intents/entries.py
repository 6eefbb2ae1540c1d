"""Open transactions of a wallet with the bytes that were signed for them: what the worker works on."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from intents.status import Status
from vault.clock.now import just_now
from vault.db import Database

# Rows this young belong to the API process that is sending them
HANDS_OFF_S = 4
# How long a node is given to lose our bytes before it is asked whether it still has them
RESEND_AFTER_S = 10
MAX_ROWS = 200

_COLUMNS = f"""
    SELECT t.id, t.agent_id, t.nonce, t.status, t.given_up_at, t.block_number, t.block_hash, t.succeeded,
           a.id AS attempt_id, a.kind, a.raw, a.tx_hash,
           a.sent_at IS NOT NULL AS sent,
           NOT COALESCE({just_now("a.tried_at", ":hands_off_s")}, false) AS ours,
           NOT COALESCE({just_now("a.tried_at", ":resend_after_s")}, false) AS stale
"""
# Signatures that were never sent come last, so that a hoard of them keeps nobody else's waiting; before them what is
# in a block and only waits to be final, which may take its chain for ever
_USED = text(f"""{_COLUMNS}
    FROM (SELECT * FROM transactions
          WHERE chain_id = :chain_id AND wallet_address = :address AND final_at IS NULL AND nonce < :mined_nonce
          ORDER BY (status = 'sign_only'), (block_number IS NOT NULL), nonce, created_at LIMIT :max_rows) t
    JOIN attempts a ON a.transaction_id = t.id
    ORDER BY (t.status = 'sign_only'), t.nonce, t.created_at, a.created_at
""")  # noqa: S608 - put together from constants of this file
_WAITING = text(f"""{_COLUMNS}
    FROM (SELECT * FROM transactions
          WHERE chain_id = :chain_id AND wallet_address = :address AND final_at IS NULL AND nonce >= :mined_nonce
            AND status <> 'sign_only' AND chain_reset_at IS NULL
          ORDER BY nonce LIMIT :max_rows) t
    JOIN attempts a ON a.transaction_id = t.id
    ORDER BY t.nonce, a.created_at
""")  # noqa: S608 - put together from constants of this file


@dataclass(frozen=True)
class Entry:
    """An open transaction and every attempt for its nonce, oldest first."""

    id: UUID
    agent_id: UUID
    nonce: int
    status: Status
    block_number: int | None
    block_hash: bytes | None
    succeeded: bool | None
    attempts: tuple[Any, ...]

    @property
    def to_send(self) -> Any:
        """The attempt that should be mined: the last filler, once the transaction is given up.

        None for one that was given up far above the chain's count: its filler comes when the tracker comes by.
        """
        fillers = [attempt for attempt in self.attempts if attempt.kind == "filler"]
        if fillers:
            return fillers[-1]
        return self.attempts[0] if self.attempts[0].given_up_at is None else None


async def used(database: Database, chain_id: int, address: bytes, mined_nonce: int) -> list[Entry]:
    """Those whose nonce the chain has used: mined, or settled by something else."""
    return await _read(database, _USED, chain_id, address, mined_nonce)


async def waiting(database: Database, chain_id: int, address: bytes, mined_nonce: int) -> list[Entry]:
    """Those that are still to be mined, lowest nonce first."""
    return await _read(database, _WAITING, chain_id, address, mined_nonce)


async def _read(database: Database, query: Any, chain_id: int, address: bytes, mined_nonce: int) -> list[Entry]:
    async with database.statements() as connection:
        rows = await connection.execute(
            query,
            {
                "chain_id": chain_id,
                "address": address,
                "mined_nonce": mined_nonce,
                "hands_off_s": HANDS_OFF_S,
                "resend_after_s": RESEND_AFTER_S,
                "max_rows": MAX_ROWS,
            },
        )
        grouped: dict[UUID, list[Any]] = defaultdict(list)
        for row in rows:
            grouped[row.id].append(row)
    return [
        Entry(
            id=first.id,
            agent_id=first.agent_id,
            nonce=first.nonce,
            status=Status(first.status),
            block_number=first.block_number,
            block_hash=None if first.block_hash is None else bytes(first.block_hash),
            succeeded=first.succeeded,
            attempts=tuple(attempts),
        )
        for first, *rest in grouped.values()
        for attempts in ((first, *rest),)
    ]
