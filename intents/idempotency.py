"""Idempotency-Key: claim, release, complete. One key, one transaction, across restarts and crashes.

A claim is its own short commit and carries a lease and a fence. A claimer that dies is replaced when its lease
ends; one that was only slow finds its fence gone at `hold`, before anything is signed, and gives way.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.clock.now import BELIEVED_NOW, LATEST_NOW
from vault.db import Database
from vault.errors import Problem, conflict

LEASE_S = 10
MAX_KEY_CHARS = 255

# A lease that ends later than one from now would is of a clock that was stepped back since: it may be taken over, as
# any that is over; the fence decides who signs. A key itself is old by the time that is believed.
_HELD = f"k.lease_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '{LEASE_S} seconds'"

_CLAIM = text(f"""
    INSERT INTO idempotency_keys AS k (agent_id, key_hash, draft_hash, fence, lease_until, created_at)
    VALUES (:agent_id, :key_hash, :draft_hash, :fence, clock_timestamp() + make_interval(secs => :lease_s),
            {LATEST_NOW})
    ON CONFLICT (agent_id, key_hash) DO UPDATE
       SET fence = EXCLUDED.fence, lease_until = EXCLUDED.lease_until
     WHERE k.transaction_id IS NULL AND NOT ({_HELD}) AND k.draft_hash = EXCLUDED.draft_hash
    RETURNING fence
""")  # noqa: S608 - made of constants

_READ = text(f"""
    SELECT draft_hash, transaction_id, {_HELD} AS held FROM idempotency_keys k
    WHERE agent_id = :agent_id AND key_hash = :key_hash
""")  # noqa: S608 - made of constants

# not while the row is locked by our own signing: the lease does not matter then
_RENEW = text("""
    UPDATE idempotency_keys SET lease_until = clock_timestamp() + make_interval(secs => :lease_s)
    WHERE (agent_id, key_hash) IN (
        SELECT agent_id, key_hash FROM idempotency_keys
        WHERE agent_id = :agent_id AND key_hash = :key_hash AND fence = :fence AND transaction_id IS NULL
        FOR UPDATE SKIP LOCKED)
""")

_HOLD = text("""
    SELECT 1 FROM idempotency_keys
    WHERE agent_id = :agent_id AND key_hash = :key_hash AND fence = :fence AND transaction_id IS NULL
    FOR UPDATE
""")

_COMPLETE = text("""
    UPDATE idempotency_keys SET transaction_id = :transaction_id
    WHERE agent_id = :agent_id AND key_hash = :key_hash AND fence = :fence AND transaction_id IS NULL
""")

_RELEASE = text("""
    DELETE FROM idempotency_keys
    WHERE agent_id = :agent_id AND key_hash = :key_hash AND fence = :fence AND transaction_id IS NULL
""")

_SWEEP = text(f"""
    DELETE FROM idempotency_keys k
    WHERE (k.agent_id, k.key_hash) IN (
        SELECT i.agent_id, i.key_hash FROM idempotency_keys i
        LEFT JOIN transactions t ON t.id = i.transaction_id
        WHERE i.created_at < {BELIEVED_NOW} - interval '24 hours'
          AND i.lease_until < {BELIEVED_NOW}
          AND (i.transaction_id IS NULL OR t.final_at IS NOT NULL)
        ORDER BY i.created_at LIMIT 1000
        FOR UPDATE OF i SKIP LOCKED
    )
""")  # noqa: S608 - made of constants


@dataclass(frozen=True)
class Claim:
    """Ours to carry out: valid as long as `fence` is the one in the row."""

    agent_id: UUID
    key_hash: bytes
    fence: UUID

    def parameters(self) -> dict[str, object]:
        """Bind parameters that name exactly this claim."""
        return {"agent_id": self.agent_id, "key_hash": self.key_hash, "fence": self.fence}


@dataclass(frozen=True)
class Replay:
    """Carried out before: answer with this transaction."""

    transaction_id: UUID


async def claim(database: Database, agent_id: UUID, key: str, draft_hash: bytes) -> Claim | Replay:
    """Claim `key` for this agent, or say what it stands for already.

    Raises 409 while the first request is in flight and 422 when the key was used for another draft.
    """
    key_hash = hashlib.sha256(key.encode()).digest()
    mine = Claim(agent_id, key_hash, uuid4())
    async with database.statements() as connection:
        # Look first: a claim in good standing is answered without waiting for the lock that its holder may have
        if (known := await _known(connection, mine, draft_hash)) is not None:
            return known
        claimed = await connection.execute(
            _CLAIM, {**mine.parameters(), "draft_hash": draft_hash, "lease_s": LEASE_S}
        )
        if claimed.first() is not None:
            return mine
        if (known := await _known(connection, mine, draft_hash)) is not None:
            return known
    # released between our statements: the first attempt was refused before anything was signed
    raise in_flight()


async def _known(connection: AsyncConnection, mine: Claim, draft_hash: bytes) -> Replay | None:
    """What the key stands for already; None when it is free to claim, 409 or 422 when it is not to be had."""
    row = (await connection.execute(_READ, {"agent_id": mine.agent_id, "key_hash": mine.key_hash})).first()
    if row is None:
        return None
    if bytes(row.draft_hash) != draft_hash:
        raise Problem(
            422,
            "This Idempotency-Key was used for a different transaction; nothing was done. Use a new key.",
            type="idempotency_key_reuse",
            title="Idempotency-Key Reuse",
        )
    if row.transaction_id is not None:
        return Replay(row.transaction_id)
    if row.held:
        raise in_flight()
    return None


@asynccontextmanager
async def kept(database: Database, mine: Claim | None) -> AsyncIterator[None]:
    """Renew the lease for as long as the block runs: it is to end when we die, not when the chain is slow."""
    if mine is None:
        yield
        return
    renewing = asyncio.create_task(_renew(database, mine))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def _renew(database: Database, mine: Claim) -> None:
    while True:  # cancelled with the request, which is bounded
        await asyncio.sleep(LEASE_S / 3)
        try:
            async with database.statements() as connection:
                await connection.execute(_RENEW, {**mine.parameters(), "lease_s": LEASE_S})
        except (SQLAlchemyError, OSError):
            continue  # the fence still protects us, only a takeover becomes possible


async def hold(connection: AsyncConnection, mine: Claim) -> None:
    """Lock our claim for the rest of the transaction, so that nobody can take it over while we sign; 409 if lost."""
    if (await connection.execute(_HOLD, mine.parameters())).first() is None:
        raise in_flight()


async def complete(connection: AsyncConnection, mine: Claim, transaction_id: UUID) -> None:
    """Bind the claim to its transaction; 409 (and so a rollback) if it is no longer ours."""
    done = await connection.execute(_COMPLETE, {**mine.parameters(), "transaction_id": transaction_id})
    if done.rowcount != 1:
        raise in_flight()


async def release(database: Database, mine: Claim) -> None:
    """Free the key after a refusal before signing, so that a corrected request may use it."""
    async with database.statements() as connection:
        await connection.execute(_RELEASE, mine.parameters())


async def sweep(database: Database) -> int:
    """Drop keys that are 24 h old and settled, at most 1,000 a call; returns how many."""
    async with database.statements() as connection:
        return (await connection.execute(_SWEEP)).rowcount


def in_flight() -> Problem:
    """The 409 for a key whose first request is not done yet."""
    problem = conflict("A request with this Idempotency-Key is still being processed; try again in a moment.")
    problem.headers["Retry-After"] = "1"
    return problem
