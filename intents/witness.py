"""Does a chain still hold the blocks in which transactions of ours became final?

A chain that begins anew with the same first block (geth in developer mode always has the same one) is told from the
one before by nothing else. A node that merely lags does not know such a block either: it is then too far behind to
be asked anything, and a human says which of the two it is (`intents.reset_router`).
"""

import asyncio
import logging
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.errors import RpcError
from chains.hexdata import format_data
from chains.rpc import ChainClient

log = logging.getLogger(__name__)

# How long an endpoint may think about one block
ANSWER_S: Final = 2.0

_OF_WALLET = text("""
    SELECT block_hash FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce >= :low AND status <> 'sign_only'
      AND chain_reset_at IS NULL AND final_at IS NOT NULL AND block_hash IS NOT NULL
    ORDER BY nonce DESC LIMIT 1
""")
_OF_CHAIN = text("""
    SELECT block_hash FROM transactions
    WHERE chain_id = :chain_id AND chain_reset_at IS NULL AND final_at IS NOT NULL AND block_hash IS NOT NULL
    ORDER BY block_number DESC LIMIT 1
""")


async def of_wallet(connection: AsyncConnection, chain_id: int, address: bytes, low: int) -> bytes | None:
    """The block in which the wallet's last final transaction with a nonce from `low` on lies; None for none."""
    named = {"chain_id": chain_id, "address": address, "low": low}
    found = (await connection.execute(_OF_WALLET, named)).scalar()
    return None if found is None else bytes(found)


async def of_chain(connection: AsyncConnection, chain_id: int) -> bytes | None:
    """The highest block of the chain in which a transaction of ours is final; None for none."""
    found = (await connection.execute(_OF_CHAIN, {"chain_id": chain_id})).scalar()
    return None if found is None else bytes(found)


async def is_gone(client: ChainClient, block_hash: bytes) -> bool:
    """Do endpoints answer that they know no such block, and none that it does? Silence says nothing."""
    said = await asyncio.gather(*(_knows(each, block_hash) for each in client.each()))
    return False in said and True not in said


async def _knows(endpoint: ChainClient, block_hash: bytes) -> bool | None:
    try:
        async with asyncio.timeout(ANSWER_S):
            block = await endpoint.call("eth_getBlockByHash", [format_data(block_hash), False])
    except (RpcError, TimeoutError) as error:
        log.info("an endpoint does not say whether it knows a block: %s", error)
        return None
    return block is not None
