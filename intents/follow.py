"""Transactions whose nonce the chain has used: by which bytes, in which block, for good?

Nothing is called failed for want of a receipt: a node may lag, have no index or be another one than a moment ago.
It takes a final block that used the nonce and does not hold our transaction, by every endpoint's word.
"""

import asyncio
import logging
from collections import defaultdict
from dataclasses import replace
from typing import Any
from uuid import UUID

from chains.chain import Chain
from chains.errors import RpcRefused, Unreadable
from chains.rpc import ChainClient
from chains.transactions import decode_signed
from intents import settle
from intents.answers import Receipt, receipt
from intents.entries import Entry
from intents.execution import block_of, has_succeeded, price_paid
from intents.gone import gone
from intents.head import Head
from intents.others import Claim, disputed
from intents.proof import Where
from intents.searches import Searches
from intents.settle_otherwise import settle_otherwise
from vault.context import Context

log = logging.getLogger(__name__)

# Proofs are costly; what is left over waits for the next pass
MAX_SEARCHES = 5
# so many blocks at most does another endpoint list in one answer
MAX_BLOCKS = 20


async def follow(
    context: Context,
    chain: Chain,
    client: ChainClient,
    address: bytes,
    now: Head,
    entries: list[Entry],
    searches: Searches,
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
    to_prove: list[tuple[Entry, Where | None]] = []
    to_close: list[Claim] = []
    for entry in entries:
        try:
            found = _found(answered[entry.id])
            if found is not None and found[0].kind != "filler":
                is_there = await _mined(context, client, now, entry, *found)
                blocks = {each.receipt.block_number for each in to_close} | {found[1].block_number}
                claim = Claim(entry.id, entry.nonce, found[1])
                if is_there and len(blocks) <= MAX_BLOCKS and _is_due(now, claim, searches):
                    to_close.append(claim)
            elif found is None and entry.block_hash is not None:
                if await gone(client, chain, entry.block_number, entry.block_hash):
                    await settle.unmine(context.database, entry.agent_id, entry.id)
            elif found is None or found[1].block_number <= now.final_block:
                filler = None if found is None else _where(found[1])
                if len(to_prove) < MAX_SEARCHES and searches.is_due(entry.id, at_once=filler is not None):
                    to_prove.append((entry, filler))
        except (RpcRefused, Unreadable) as error:
            log.info("chain %s, transaction %s: %s", chain.name, entry.id, error)
    await _close(context, client, address, to_close, searches)
    # together: an endpoint that hangs costs its time once
    ends = await asyncio.gather(
        *(settle_otherwise(context, chain, client, address, entry, searches, seen) for entry, seen in to_prove),
        return_exceptions=True,
    )
    for end in ends:
        if isinstance(end, BaseException):
            raise end


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


def _where(known: Receipt) -> Where:
    return Where(known.tx_hash, known.block_number, known.block_hash)


async def _mined(
    context: Context, client: ChainClient, now: Head, entry: Entry, attempt: Any, known: Receipt
) -> bool:
    """Write it down; False when its block was reorganised away between two questions: the next pass sees where to."""
    final = known.block_number <= now.final_block
    # once more when it is final: another answer may prove by then what this one leaves open
    open_question = entry.succeeded is None and (known.succeeded is not None or final)
    if entry.block_hash != known.block_hash or open_question:
        block = await block_of(client, known)
        if block is None:
            return False
        tx, sender = decode_signed(bytes(attempt.raw))
        whole = replace(
            known,
            effective_gas_price=price_paid(known, tx, block.base_fee),
            succeeded=await has_succeeded(client, known, tx, sender, block.base_fee),
        )
        await settle.mined(context.database, entry.agent_id, entry.id, whole, block.at)
    return True


def _is_due(now: Head, claim: Claim, searches: Searches) -> bool:
    """Is its block final, by the word of who answers, and nobody against it as far as was asked lately?"""
    return claim.receipt.block_number <= now.final_block and searches.is_due(_dispute(claim), at_once=True)


async def _close(
    context: Context, client: ChainClient, address: bytes, claims: list[Claim], searches: Searches
) -> None:
    """Final, unless somebody speaks against it: until then a second opinion sends it to whoever does not know it."""
    against = await disputed(client, address, claims)
    for claim in claims:
        if claim.id in against:
            number = claim.receipt.block_number
            log.warning("transaction %s: not final, an endpoint speaks against its block %d", claim.id, number)
            searches.in_vain(_dispute(claim))
        else:
            searches.forget(_dispute(claim))
            await settle.final(context.database, claim.id, claim.receipt.block_hash)


def _dispute(claim: Claim) -> tuple[UUID, bytes]:
    return claim.id, claim.receipt.block_hash
