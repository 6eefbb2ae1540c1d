"""The wallet row: lock it, read its tracker, give out a nonce. Keyed by chain and address, never by agent."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains import nonces
from chains.errors import NonceInFlight
from intents.status import OCCUPYING
from vault.errors import conflict

_LOCK = text("""
    SELECT next_nonce FROM wallets WHERE chain_id = :chain_id AND address = :address FOR UPDATE
""")
_CREATE = text("""
    INSERT INTO wallets (chain_id, address, next_nonce) VALUES (:chain_id, :address, 0) ON CONFLICT DO NOTHING
""")
_OCCUPIED = text("""
    SELECT 1 FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce = :nonce AND status = ANY(:occupying)
      AND chain_reset_at IS NULL
""")


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
    pending: int,
    mined: int,
) -> int:
    """The nonce to sign with, under the wallet's lock: the next free one, or a requested one that may be used.

    Raises `chains.errors.BadNonce` (422) when the requested one skips or is used up, 409 when it is in flight.
    """
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
