"""The wallet row: lock it, read its tracker, give out a nonce. Keyed by chain and address, never by agent."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains import nonces
from chains.errors import NonceInFlight
from intents.status import OCCUPYING
from vault.errors import conflict

_LOCK = text("""
    SELECT next_nonce FROM wallets WHERE chain_id = :chain_id AND address = :address FOR UPDATE
""")
_READ = text("SELECT next_nonce FROM wallets WHERE chain_id = :chain_id AND address = :address")
_TAKEN = text("""
    SELECT count(*) FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce >= :low AND nonce < :high
      AND status <> 'sign_only' AND chain_reset_at IS NULL
""")
_CREATE = text("""
    INSERT INTO wallets (chain_id, address, next_nonce) VALUES (:chain_id, :address, 0) ON CONFLICT DO NOTHING
""")
_OCCUPIED = text("""
    SELECT 1 FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce = :nonce AND status = ANY(:occupying)
      AND chain_reset_at IS NULL
""")


@dataclass(frozen=True)
class Known:
    """A wallet as we know it without asking the chain: the tracker, and nonces of transactions in flight."""

    tracked: int
    in_flight: Sequence[int]

    def in_flight_from(self, nonce: int) -> int:
        """How many of ours in flight have this nonce or a higher one (at least)."""
        return sum(1 for each in self.in_flight if each >= nonce)


async def read(connection: AsyncConnection, chain_id: int, address: bytes) -> int:
    """The tracked next nonce, without a lock; 0 for a wallet that is not known."""
    return int((await connection.execute(_READ, {"chain_id": chain_id, "address": address})).scalar() or 0)


async def occupied(connection: AsyncConnection, chain_id: int, address: bytes, low: int, high: int) -> int:
    """How many nonces from `low` up to and without `high` transactions of ours have taken."""
    named = {"chain_id": chain_id, "address": address, "low": low, "high": high}
    return int((await connection.execute(_TAKEN, named)).scalar_one())


async def lock(connection: AsyncConnection, chain_id: int, address: bytes) -> int:
    """Lock the wallet until the transaction ends; returns the tracked next nonce (0 for a new wallet)."""
    named = {"chain_id": chain_id, "address": address}
    tracked = (await connection.execute(_LOCK, named)).scalar()
    if tracked is None:
        await connection.execute(_CREATE, named)
        tracked = (await connection.execute(_LOCK, named)).scalar_one()
    return int(tracked)


async def choose_nonce(
    connection: AsyncConnection,
    chain_id: int,
    address: bytes,
    *,
    requested: int | None,
    tracked: int,
    was_tracked: int,
    pending: int,
    mined: int,
) -> int:
    """The nonce to sign with, under the wallet's lock: the next free one, or a requested one that may be used.

    `was_tracked` is the tracker by which `pending` was believed. Raises `chains.errors.BadNonce` (422) when the
    requested one skips or is used up, 409 when it is in flight or the tracker went back meanwhile.
    """
    if tracked < was_tracked:
        raise conflict("This wallet was resynchronised just now; nothing was signed, try again.")
    free = nonces.next_nonce(tracked, pending)
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
