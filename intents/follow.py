"""Transactions whose nonce the chain has used: by which bytes, in which block, for good?

Nothing is called failed for want of a receipt: a node may lag, have no index or be another one than a moment ago.
It takes the transaction that did use the nonce, in a final block.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from chains.chain import Chain
from chains.defaults import ANVIL
from chains.errors import RpcRefused
from chains.nonce_user import user_of_nonce
from chains.quantities import COUNT_BITS, quantity
from chains.rpc import ChainClient
from intents import settle
from intents.answers import Receipt, block_hash, receipt
from intents.entries import Entry
from intents.head import Head
from vault.context import Context

# Searches for a foreign transaction are costly; what is left over waits for the next pass
MAX_SEARCHES = 5

_OUR_FINAL = text("""
    SELECT tx_hash FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce = :nonce
      AND final_at IS NOT NULL AND block_number IS NOT NULL AND chain_reset_at IS NULL
""")


async def follow(
    context: Context, chain: Chain, client: ChainClient, address: bytes, now: Head, entries: list[Entry]
) -> None:
    """Write down what became of each entry, as far as it is proven."""
    asked = [(entry, attempt) for entry in entries for attempt in entry.attempts]
    if not asked:
        return
    answers = await client.batch(
        [("eth_getTransactionReceipt", [f"0x{bytes(attempt.tx_hash).hex()}"]) for _, attempt in asked]
    )
    found: dict[Any, tuple[Any, Receipt]] = {}
    unsure = set()
    for (entry, attempt), answer in zip(asked, answers, strict=True):
        if isinstance(answer, RpcRefused):
            unsure.add(entry.id)
        elif (known := receipt(answer)) is not None:
            found[entry.id] = (attempt, known)
    searches = MAX_SEARCHES
    for entry in entries:
        if entry.id in found:
            await _mined(context, client, now, entry, *found[entry.id])
        elif entry.id in unsure:
            continue
        elif entry.block_hash is not None:
            if await gone(client, chain, entry.block_number, entry.block_hash):
                await settle.unmine(context.database, entry.agent_id, entry.id)
        elif searches > 0:
            searches -= 1
            await _settled_otherwise(context, chain, client, address, now, entry)


async def _mined(
    context: Context, client: ChainClient, now: Head, entry: Entry, attempt: Any, known: Receipt
) -> None:
    final = known.block_number <= now.final_block
    if attempt.kind == "filler":
        if final:
            message = f"Given up: nonce {entry.nonce} was settled by the filler 0x{known.tx_hash.hex()}."
            await settle.fail(context.database, entry.agent_id, entry.id, message)
        return
    if entry.block_hash != known.block_hash:
        block = await client.call("eth_getBlockByHash", [f"0x{known.block_hash.hex()}", False])
        if not isinstance(block, dict):  # reorganised away between two questions; the next pass sees where it went
            return
        block_at = datetime.fromtimestamp(quantity(block.get("timestamp"), COUNT_BITS), UTC)
        await settle.mined(context.database, entry.id, known, block_at)
    if final:
        await settle.final(context.database, entry.id)


async def _settled_otherwise(
    context: Context, chain: Chain, client: ChainClient, address: bytes, now: Head, entry: Entry
) -> None:
    async with context.database.statements() as connection:
        named = {"chain_id": chain.chain_id, "address": address, "nonce": entry.nonce}
        # another of ours, whose receipt we saw in a final block
        winner = (await connection.execute(_OUR_FINAL, named)).scalar()
    if winner is None:
        winner = await user_of_nonce(client, address, entry.nonce, now.final_block)
    if winner is None or bytes(winner) in {bytes(attempt.tx_hash) for attempt in entry.attempts}:
        return
    message = f"Nonce {entry.nonce} was used by 0x{bytes(winner).hex()}; this transaction can no longer be mined."
    await settle.fail(context.database, entry.agent_id, entry.id, message)


async def gone(client: ChainClient, chain: Chain, number: int | None, was: bytes) -> bool:
    """Is a block that we saw proven to be no longer part of the chain?

    Another block has its number now. A node that has no block of that number may only lag; the local chain, which
    has one node, has lost it.
    """
    assert number is not None
    there = block_hash(await client.call("eth_getBlockByNumber", [hex(number), False]))
    return chain.chain_id == ANVIL.chain_id if there is None else there != was
