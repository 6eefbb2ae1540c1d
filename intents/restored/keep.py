"""Write down what was found of a wallet and what was not, each with the agents that may have paid it."""

import hashlib
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.chain import Chain
from chains.sent import Sent
from intents.restored.agents import users_of
from intents.restored.models import RestoredTransaction

_DONE = text("""
    UPDATE restored_wallets SET listed_at = clock_timestamp(), calls = :calls
    WHERE restore_id = :restore_id AND chain_id = :chain_id AND address = :address AND listed_at IS NULL
""")


async def keep(
    connection: AsyncConnection,
    restore_id: UUID,
    chain: Chain,
    address: bytes,
    found: Iterable[Sent],
    unknown: Iterable[tuple[int, int | None]],
    calls: int,
) -> None:
    """A wallet's list, once: what was `found`, and `unknown` nonces from the first to the last (None: all above)."""
    done = await connection.execute(
        _DONE, {"restore_id": restore_id, "chain_id": chain.chain_id, "address": address, "calls": calls}
    )
    if done.rowcount != 1:
        return  # by another worker meanwhile
    common = {
        "restore_id": restore_id,
        "chain": chain.name,
        "chain_id": chain.chain_id,
        "address": address,
        "agents": await users_of(connection, chain.chain_id, address),
    }
    rows = [common | _columns(each) for each in found]
    rows += [common | _no_columns(first, last) for first, last in unknown]
    for row in rows:
        await connection.execute(insert(RestoredTransaction).values(id=uuid4(), **row))


def data_hash(data: bytes) -> bytes:
    """What the data of two transactions is compared by."""
    return hashlib.sha256(data).digest()


def _columns(sent: Sent) -> dict[str, Any]:
    transaction = sent.transaction
    return {
        "nonce": transaction.nonce,
        "last_nonce": transaction.nonce,
        "tx_hash": sent.tx_hash,
        "to_address": transaction.to,
        "value_wei": transaction.value,
        "data_hash": data_hash(transaction.data),
        "data_head": transaction.data[:4],
        "data_length": len(transaction.data),
        "block_number": sent.block_number,
        "block_at": sent.block_at,
    }


def _no_columns(first: int, last: int | None) -> dict[str, Any]:
    return {"nonce": first, "last_nonce": last}
