"""Our own transactions that the node does not count: what a simulation must run before the one it is asked about."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.simulate import Call
from intents.status import IN_FLIGHT

# more than this many are not simulated, and not more than this many rows are read
MAX_CALLS = 32
MAX_ROWS = 500

_IN_FLIGHT = text("""
    SELECT nonce, wallet_address, to_address, value_wei, data, gas_limit FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND final_at IS NULL AND chain_reset_at IS NULL
      AND status = ANY(:in_flight) AND given_up_at IS NULL
    ORDER BY nonce DESC LIMIT :max_rows
""")


@dataclass(frozen=True)
class Prior:
    """A transaction in flight and its nonce."""

    nonce: int
    call: Call


async def in_flight_calls(connection: AsyncConnection, chain_id: int, address: bytes) -> tuple[Prior, ...]:
    """This wallet's transactions in flight, in nonce order."""
    rows = await connection.execute(
        _IN_FLIGHT,
        {"chain_id": chain_id, "address": address, "in_flight": list(IN_FLIGHT), "max_rows": MAX_ROWS},
    )
    return tuple(
        Prior(
            row.nonce,
            Call(
                sender=bytes(row.wallet_address),
                to=bytes(row.to_address),
                value=int(row.value_wei),
                data=bytes(row.data),
                gas_limit=row.gas_limit,
            ),
        )
        for row in reversed(list(rows))
    )


def unknown_to_node(priors: Iterable[Prior], pending_nonce: int) -> tuple[Call, ...]:
    """Those that are not in the node's pending state yet, whether never sent or lost again; at most `MAX_CALLS`.

    By the node's own count, not by what we remember of sending: an answer that was lost is no transaction lost.
    """
    return tuple(islice((each.call for each in priors if each.nonce >= pending_nonce), MAX_CALLS))
