"""Bring one wallet's transactions in line with the chain, from the chain's nonce upwards.

Everything is found again in PostgreSQL and on the chain at every pass, so that it does not matter who died when; rows
change only by conditional updates.
"""

import logging
import time
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from chains.chain import Chain
from chains.defaults import ANVIL
from chains.errors import RpcError, RpcRefused, Unreadable, WrongChain
from chains.rpc import ChainClient
from intents import entries, settle
from intents.fill_ahead import fill_ahead
from intents.finality_missed import FinalityMissed
from intents.follow import follow
from intents.gone import gone
from intents.head import Head, head
from intents.resend import resend
from intents.searches import Searches
from intents.wallets import read as tracked_nonce
from vault.clock.now import just_now
from vault.context import Context

log = logging.getLogger(__name__)

# What no endpoint has shown after so long, the next one may know: the preferred one may lie, or lag
LINGERS_S: Final = 1.0
SECOND_OPINION_EVERY_S: Final = 1.0
# of what is mined and only waits to be final
OPINION_ON_MINED_EVERY_S: Final = 30.0
MAX_KNOWN: Final = 10_000

_LINGERING = text(f"""
    SELECT bool_or(block_number IS NULL) FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND final_at IS NULL AND status <> 'sign_only'
      AND NOT {just_now("signed_at", ":lingers_s")}
""")  # noqa: S608 - made of a constant


@dataclass
class Memory:
    """What passes remember of each other; without it everything is only asked more often."""

    searches: Searches = field(default_factory=Searches)
    finality: FinalityMissed = field(default_factory=FinalityMissed)
    # by wallet: when others were asked, and how often
    opinions: dict[tuple[int, bytes], tuple[float, int]] = field(default_factory=dict)


async def reconcile_wallet(context: Context, chain: Chain, address: bytes, memory: Memory) -> None:
    """One pass over a wallet's open transactions, by the preferred endpoint, and by another for what lingers."""
    client = context.chains.for_chain(chain)
    trouble: RpcError | None = None
    try:
        now = await _pass(context, chain, client, address, memory.searches)
        memory.finality.seen(chain, now.final_block)
    except RpcError as error:
        trouble = error
    other = await _second_opinion(context, client, chain.chain_id, address, memory)
    if other is not None:
        try:
            await _pass(context, chain, other, address, memory.searches)
        except RpcError as error:
            log.info("chain %s, a second opinion: %s", chain.name, error)
    if trouble is not None:
        raise trouble


async def _second_opinion(
    context: Context, client: ChainClient, chain_id: int, address: bytes, memory: Memory
) -> ChainClient | None:
    """Another sound endpoint than the preferred one, in turns, when it is time to ask one; else None."""
    others = [each for each in client.each() if each.is_sound][1:]
    if not others:
        return None
    async with context.database.statements() as connection:
        named = {"chain_id": chain_id, "address": address, "lingers_s": LINGERS_S}
        lingering = (await connection.execute(_LINGERING, named)).scalar()
    if lingering is None:
        memory.opinions.pop((chain_id, address), None)
        return None
    asked_at, turn = memory.opinions.get((chain_id, address), (0.0, 0))
    pause_s = SECOND_OPINION_EVERY_S if lingering else OPINION_ON_MINED_EVERY_S
    if time.monotonic() - asked_at < pause_s:
        return None
    if len(memory.opinions) >= MAX_KNOWN:
        memory.opinions.clear()
    memory.opinions[(chain_id, address)] = (time.monotonic(), turn + 1)
    return others[turn % len(others)]


async def _pass(context: Context, chain: Chain, client: ChainClient, address: bytes, searches: Searches) -> Head:
    """By one endpoint's view of the chain, which is returned.

    What was not sent yet is sent whatever became of the rest: no answer about one transaction may hold up another.
    """
    now = await head(client, chain, address)
    trouble: Exception | None = None
    try:
        if now.mined_nonce is not None:
            await _look(context, chain, client, address, now, now.mined_nonce, searches)
    except (SQLAlchemyError, OSError, WrongChain):
        raise  # nothing is sent to another chain
    except Exception as error:  # noqa: BLE001 - raised below
        trouble = error
    waiting = await entries.waiting(context.database, chain.chain_id, address, now.mined_nonce or 0)
    await resend(context, client, now.mined_nonce, waiting)
    if trouble is not None:
        raise trouble
    return now


async def _look(
    context: Context,
    chain: Chain,
    client: ChainClient,
    address: bytes,
    now: Head,
    mined_nonce: int,
    searches: Searches,
) -> None:
    """See what the chain took back, and what became of the nonces that it has used."""
    database, chain_id = context.database, chain.chain_id
    local = chain_id == ANVIL.chain_id
    lost = await settle.beyond(database, chain_id, address, mined_nonce, with_final=local)
    async with database.statements() as connection:
        behind = local and await tracked_nonce(connection, chain_id, address) > mined_nonce
    if lost or behind:
        # a chain that began anew has none of our blocks either: nothing that was paid on the old one is sent again
        await client.verify_chain()
    for row in lost:
        try:
            if await gone(client, chain, row.block_number, bytes(row.block_hash)):
                log.warning("transaction %s: the chain lost its block; sending it again", row.id)
                await settle.unmine(database, row.agent_id, row.id)
        except (RpcRefused, Unreadable) as error:
            log.info("chain %s, transaction %s: %s", chain.name, row.id, error)
    if local:
        # only the local chain loses final blocks (a kill between two saves of its state), fillers' included
        await settle.reopen_given_up(database, chain_id, address, mined_nonce)
    used = await entries.used(database, chain_id, address, mined_nonce)
    await follow(context, chain, client, address, now, used, searches)
    await fill_ahead(context, chain, client, address, mined_nonce)
