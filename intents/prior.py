"""Our own transactions that no node knows yet: what a simulation must run before the one it is asked about."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.simulate import Call
from intents.status import Status

# What the node has in its pool is part of its pending state; more than this many unsent ones are not simulated
MAX_CALLS = 32

_UNSENT = text("""
    SELECT wallet_address, to_address, value_wei, data, gas_limit FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND final_at IS NULL
      AND status = :signed AND given_up_at IS NULL
    ORDER BY nonce LIMIT :max_calls
""")


async def unsent_calls(connection: AsyncConnection, chain_id: int, address: bytes) -> tuple[Call, ...]:
    """The calls of this wallet's signed but unsent transactions, in nonce order."""
    rows = await connection.execute(
        _UNSENT,
        {"chain_id": chain_id, "address": address, "signed": Status.SIGNED.value, "max_calls": MAX_CALLS},
    )
    return tuple(
        Call(
            sender=bytes(row.wallet_address),
            to=bytes(row.to_address),
            value=int(row.value_wei),
            data=bytes(row.data),
            gas_limit=row.gas_limit,
        )
        for row in rows
    )
