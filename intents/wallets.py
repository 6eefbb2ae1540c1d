"""The wallet row: lock it, read its tracker, give out a nonce. Keyed by chain and address, never by agent."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains import nonces
from chains.addresses import format_address
from chains.errors import NonceInFlight
from intents.status import IN_FLIGHT, OCCUPYING
from vault.errors import Problem, conflict, unavailable

# more nonces of ours than any pool takes of one account
MAX_TAKEN = 10_000

_LOCK = text("""
    SELECT next_nonce, resynced_at IS NOT NULL AS resynced, stopped_at, stopped_why,
           COALESCE(compared_epoch = (SELECT start_epoch FROM instance), false) AS compared
    FROM wallets WHERE chain_id = :chain_id AND address = :address FOR UPDATE
""")
_READ = text("SELECT next_nonce FROM wallets WHERE chain_id = :chain_id AND address = :address")
# rows are written behind the wallet's lock with the database's clock: what is younger than the newest came later
_READ_NEWEST = text("""
    SELECT COALESCE((SELECT next_nonce FROM wallets WHERE chain_id = :chain_id AND address = :address), 0) AS tracked,
           (SELECT max(created_at) FROM transactions
            WHERE chain_id = :chain_id AND wallet_address = :address AND final_at IS NULL AND chain_reset_at IS NULL
           ) AS newest_at
""")
_TAKEN = text("""
    SELECT count(*) FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce >= :low AND nonce < :high
      AND status <> 'sign_only' AND chain_reset_at IS NULL
""")
_OURS = text("""
    SELECT nonce FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce >= :low AND nonce < :high
      AND status <> 'sign_only' AND chain_reset_at IS NULL
    ORDER BY nonce DESC LIMIT :max_rows
""")
# What was given up waits for a block too, unless the tracker went back below it: left out, each one given up would
# make a tracker that a lie led up look like the chain's own count
_WAITING = text("""
    SELECT nonce FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND final_at IS NULL AND chain_reset_at IS NULL
      AND status = ANY(:in_flight) AND (given_up_at IS NULL OR nonce < :tracked)
    ORDER BY nonce DESC LIMIT :max_rows
""")
# signatures that were handed out, and what was given up: signed by an earlier word perhaps, which was no truer
_DOUBTS = text("""
    SELECT 1 FROM transactions t LEFT JOIN wallets w ON w.chain_id = t.chain_id AND w.address = t.wallet_address
    WHERE t.chain_id = :chain_id AND t.wallet_address = :address AND t.final_at IS NULL AND t.block_number IS NULL
      AND t.chain_reset_at IS NULL
      AND (t.status = ANY(:in_flight) AND t.given_up_at IS NULL AND t.nonce >= :settled
           OR t.nonce > :settled + :slack
           AND (t.status = ANY(:in_flight) AND t.given_up_at IS NOT NULL
                OR t.status = 'sign_only' AND abs(t.nonce - :mined) > :slack)
           -- a human took the tracker past it
           AND NOT COALESCE(t.created_at < w.resynced_at AND t.nonce < w.next_nonce, false))
    LIMIT 1
""")
_SETTLED = text("""
    SELECT nonce + 1 FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND status IN ('mined', 'final', 'failed')
      AND chain_reset_at IS NULL AND nonce IS NOT NULL
    ORDER BY nonce DESC LIMIT 1
""")
# by another word than the one that leaps now
_SIGNED_ELSEWHERE = text("""
    SELECT 1 FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND final_at IS NULL AND chain_reset_at IS NULL
      AND block_number IS NULL AND abs(nonce - :nonce) > :slack
      AND created_at > COALESCE(:newest_at, '-infinity'::timestamptz)
    LIMIT 1
""")
_CREATE = text("""
    INSERT INTO wallets (chain_id, address, next_nonce) VALUES (:chain_id, :address, 0) ON CONFLICT DO NOTHING
""")
# What was signed above the chain's count before the tracker went back: given up and without a filler yet; or freed on
# a human's word, given up or handed out
_LEFT_BEHIND = text("""
    SELECT found.* FROM (
        SELECT t.*,
               EXISTS (SELECT 1 FROM attempts a WHERE a.transaction_id = t.id AND a.kind = 'filler') AS has_filler,
               EXISTS (SELECT 1 FROM spend_reservations s
                       WHERE s.transaction_id = t.id AND s.state = 'released') AS is_freed
        FROM transactions t
        WHERE t.chain_id = :chain_id AND t.wallet_address = :address AND t.nonce >= :low AND t.nonce <= :high
          AND t.final_at IS NULL AND t.chain_reset_at IS NULL
    ) found
    WHERE found.status = ANY(:in_flight) AND found.given_up_at IS NOT NULL AND (NOT has_filler OR is_freed)
       OR found.status = 'sign_only' AND is_freed
    ORDER BY found.nonce LIMIT :max_rows
""")
# the first nonce from :low on that none of ours has
_FREE = text("""
    SELECT CASE WHEN NOT EXISTS (
        SELECT 1 FROM transactions WHERE chain_id = :chain_id AND wallet_address = :address AND nonce = :low
          AND status <> 'sign_only' AND chain_reset_at IS NULL
    ) THEN :low ELSE (
        SELECT min(t.nonce) + 1 FROM transactions t
        WHERE t.chain_id = :chain_id AND t.wallet_address = :address AND t.nonce >= :low
          AND t.status <> 'sign_only' AND t.chain_reset_at IS NULL
          AND NOT EXISTS (
              SELECT 1 FROM transactions n WHERE n.chain_id = :chain_id AND n.wallet_address = :address
                AND n.nonce = t.nonce + 1 AND n.status <> 'sign_only' AND n.chain_reset_at IS NULL)
    ) END
""")
_OCCUPIED = text("""
    SELECT 1 FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce = :nonce AND status = ANY(:occupying)
      AND chain_reset_at IS NULL
""")


async def read(connection: AsyncConnection, chain_id: int, address: bytes) -> int:
    """The tracked next nonce, without a lock; 0 for a wallet that is not known."""
    return int((await connection.execute(_READ, {"chain_id": chain_id, "address": address})).scalar() or 0)


async def known(connection: AsyncConnection, chain_id: int, address: bytes, low: int) -> nonces.Known:
    """The wallet with what is in flight, and all of ours from `low` on; the highest `MAX_TAKEN` of each."""
    at_first = await known_at_first(connection, chain_id, address)
    named = {"chain_id": chain_id, "address": address, "max_rows": MAX_TAKEN}
    ours = (await connection.execute(_OURS, named | {"low": low, "high": at_first.tracked})).scalars()
    settled = (await connection.execute(_SETTLED, named)).scalar() or 0
    return replace(at_first, taken=tuple(ours), settled=settled)


async def known_at_first(connection: AsyncConnection, chain_id: int, address: bytes) -> nonces.Known:
    """The wallet with what waits for a block, which is enough for most counts."""
    named = {"chain_id": chain_id, "address": address}
    found = (await connection.execute(_READ_NEWEST, named)).one()
    tracked = int(found.tracked)
    named |= {"in_flight": list(IN_FLIGHT), "tracked": tracked, "max_rows": MAX_TAKEN}
    waiting = await connection.execute(_WAITING, named)
    return nonces.Known(tracked, tuple(waiting.scalars()), newest_at=found.newest_at)


async def speaks_against(
    connection: AsyncConnection, chain_id: int, address: bytes, mined: int, settled: int
) -> bool:
    """Has the wallet open signatures that its only endpoint may have got by a lie, so that `mined` may be the next?

    What waits for a block, at `settled` (the count that our own in blocks prove) or above; what was given up more
    than the slack above it; what was handed out there, unless `mined` is about the same count. What was given up or
    handed out no longer, where a human resynchronised the wallet since, and that took the tracker past it; what waits
    still does.
    """
    named = {"chain_id": chain_id, "address": address, "mined": mined, "settled": settled, "slack": nonces.SLACK}
    return (await connection.execute(_DOUBTS, named | {"in_flight": list(IN_FLIGHT)})).first() is not None


async def occupied(connection: AsyncConnection, chain_id: int, address: bytes, low: int, high: int) -> int:
    """How many nonces from `low` up to and without `high` transactions of ours have taken."""
    named = {"chain_id": chain_id, "address": address, "low": low, "high": high}
    return int((await connection.execute(_TAKEN, named)).scalar_one())


async def left_behind(
    connection: AsyncConnection, chain_id: int, address: bytes, low: int, high: int, max_rows: int = 1
) -> list[dict[str, Any]]:
    """Transactions with nonces from `low` to `high` that have to be settled before the tracker goes past them."""
    rows = await connection.execute(
        _LEFT_BEHIND,
        {
            "chain_id": chain_id,
            "address": address,
            "low": low,
            "high": high,
            "in_flight": list(IN_FLIGHT),
            "max_rows": max_rows,
        },
    )
    return [dict(row) for row in rows.mappings()]


async def first_free(connection: AsyncConnection, chain_id: int, address: bytes, low: int) -> int:
    """The first nonce from `low` on that no transaction of ours has."""
    named = {"chain_id": chain_id, "address": address, "low": low}
    return int((await connection.execute(_FREE, named)).scalar_one())


@dataclass(frozen=True)
class Tracker:
    """The wallet's own count: the next free nonce; `resynced` where it may meet nonces that were signed before.

    `compared`: its chain was asked since the start; `stopped_at`: a human has to open it (`intents.outside`).
    """

    next_nonce: int
    resynced: bool
    compared: bool
    stopped_at: datetime | None
    stopped_why: str | None


async def lock(connection: AsyncConnection, chain_id: int, address: bytes) -> Tracker:
    """Lock the wallet until the transaction ends; returns its tracker (at 0 for a new wallet)."""
    named = {"chain_id": chain_id, "address": address}
    found = (await connection.execute(_LOCK, named)).first()
    if found is None:
        await connection.execute(_CREATE, named)
        found = (await connection.execute(_LOCK, named)).one()
    return Tracker(int(found.next_nonce), found.resynced, found.compared, found.stopped_at, found.stopped_why)


def _comes_by(chain_id: int, address: bytes, nonce: int, mined: int, tracker: Tracker) -> Problem:
    why = (
        f"This wallet comes by nonce {nonce}, which was signed before it was resynchronised; a filler takes it first."
        " Nothing was signed, try again in a moment."
    )
    if nonce > max(tracker.next_nonce, mined) + nonces.AHEAD:
        why += (
            " It comes once more of the key's transactions, which are pending from elsewhere, are mined or dropped."
        )
    elif nonce > tracker.next_nonce + nonces.AHEAD:
        # no filler comes by one endpoint's word alone: that would open again what a human freed
        why += (
            f" If it stays so, only one endpoint says that {mined} are mined. If that is right, an owner or admin of"
            " the organisation can resynchronise the wallet"
            f" (POST /v1/wallets/{chain_id}/{format_address(address)}/resync)."
        )
    return unavailable(why)


async def _leaps(connection: AsyncConnection, chain_id: int, address: bytes, was_tracked: int, free: int) -> bool:
    """Does `free` lie further from the tracker by which it was believed than ours since and the slack explain?

    The locked tracker is no measure: others that were believed in the same moment may have led it up, each a bit.
    """
    return free > was_tracked + await occupied(connection, chain_id, address, was_tracked, free) + nonces.SLACK


async def choose_nonce(
    connection: AsyncConnection,
    chain_id: int,
    address: bytes,
    *,
    requested: int | None,
    tracker: Tracker,
    was_tracked: int,
    newest_at: datetime | None,
    pending: int,
    mined: int,
) -> int:
    """The nonce to sign with, under the wallet's lock: the next free one, or a requested one that may be used.

    `was_tracked` and `newest_at` are of the `Known` by which `pending` was believed. Raises `chains.errors.BadNonce`
    (422) when the requested one skips or is used up, 409 when it is in flight, or the tracker went back or far
    elsewhere meanwhile, 503 when it has come by what was signed before it went back, until a filler is signed for
    that.
    """
    if tracker.next_nonce < was_tracked:
        raise conflict("This wallet was resynchronised just now; nothing was signed, try again.")
    free = nonces.next_nonce(tracker.next_nonce, pending)
    if free > tracker.next_nonce and await _leaps(connection, chain_id, address, was_tracked, free):
        # many requests at once may each have been told another count, and each believed it
        named = {"chain_id": chain_id, "address": address, "nonce": free, "slack": nonces.SLACK}
        elsewhere = await connection.execute(_SIGNED_ELSEWHERE, named | {"newest_at": newest_at})
        if elsewhere.first() is not None:
            raise conflict("This wallet just signed by another nonce count; nothing was signed, try again.")
    if tracker.resynced:
        # no further than `fill_ahead` looks, unless several endpoints name a pool that goes further
        left = await left_behind(connection, chain_id, address, mined, free + nonces.SLACK)
        if left:
            raise _comes_by(chain_id, address, left[0]["nonce"], mined, tracker)
        free = await first_free(connection, chain_id, address, free)
    if requested is None:
        return free
    taken = (
        await connection.execute(
            _OCCUPIED,
            {"chain_id": chain_id, "address": address, "nonce": requested, "occupying": list(OCCUPYING)},
        )
    ).first()
    try:
        nonces.check_explicit(requested, free, mined, taken is not None)
    except NonceInFlight as error:
        raise conflict(str(error)) from None
    return requested
