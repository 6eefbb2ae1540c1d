"""Transactions whose nonce the chain has used: by which bytes, in which block, for good?

Nothing is called failed for want of a receipt: a node may lag, have no index or be another one than a moment ago.
It takes the transaction that did use the nonce, in a final block.
"""

import logging
from collections import defaultdict
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from chains.chain import Chain
from chains.defaults import ANVIL
from chains.errors import RpcRefused, Unreadable
from chains.nonce_user import user_of_nonce
from chains.rpc import ChainClient
from chains.transactions import decode_signed
from intents import settle
from intents.answers import Receipt, block_hash, receipt
from intents.entries import Entry
from intents.execution import block_of, has_succeeded, price_paid
from intents.head import Head
from vault.context import Context

log = logging.getLogger(__name__)

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
    """Write down what became of each entry, as far as it is proven; an odd answer concerns its entry alone."""
    asked = [(entry, attempt) for entry in entries for attempt in entry.attempts]
    if not asked:
        return
    answers = await client.batch(
        [("eth_getTransactionReceipt", [f"0x{bytes(attempt.tx_hash).hex()}"]) for _, attempt in asked]
    )
    answered: dict[UUID, list[tuple[Any, Any]]] = defaultdict(list)
    for (entry, attempt), answer in zip(asked, answers, strict=True):
        answered[entry.id].append((attempt, answer))
    searches = MAX_SEARCHES
    for entry in entries:
        try:
            found = _found(answered[entry.id])
            if found is not None:
                await _mined(context, client, now, entry, *found)
            elif entry.block_hash is not None:
                if await gone(client, chain, entry.block_number, entry.block_hash):
                    await settle.unmine(context.database, entry.agent_id, entry.id)
            elif searches > 0:
                searches -= 1
                await _settled_otherwise(context, chain, client, address, now, entry)
        except (RpcRefused, Unreadable) as error:
            log.info("chain %s, transaction %s: %s", chain.name, entry.id, error)


def _found(answers: list[tuple[Any, Any]]) -> tuple[Any, Receipt] | None:
    """The attempt that was mined, with its receipt; None when none was. Only one attempt can have been."""
    receipts = [
        (attempt, known)
        for attempt, answer in answers
        if (known := receipt(answer, bytes(attempt.tx_hash))) is not None
    ]
    if len(receipts) > 1:
        raise Unreadable("the node answers with receipts of two transactions that exclude each other")
    return receipts[0] if receipts else None


async def _mined(
    context: Context, client: ChainClient, now: Head, entry: Entry, attempt: Any, known: Receipt
) -> None:
    final = known.block_number <= now.final_block
    if attempt.kind == "filler":
        if final:
            message = f"Given up: nonce {entry.nonce} was settled by the filler 0x{known.tx_hash.hex()}."
            await settle.fail(context.database, entry.agent_id, entry.id, message)
        return
    # once more when it is final: another answer may prove by then what this one leaves open
    open_question = entry.succeeded is None and (known.succeeded is not None or final)
    if entry.block_hash != known.block_hash or open_question:
        block = await block_of(client, known)
        if block is None:  # reorganised away between two questions; the next pass sees where it went
            return
        tx, sender = decode_signed(bytes(attempt.raw))
        whole = replace(
            known,
            effective_gas_price=price_paid(known, tx, block.base_fee),
            succeeded=await has_succeeded(client, known, tx, sender, block.base_fee),
        )
        await settle.mined(context.database, entry.id, whole, block.at)
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
