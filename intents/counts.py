"""An account's counts as they may be gone by: one node's word alone never moves a wallet's nonces far.

A count is held against our own tracker; what is doubted is asked of every endpoint of the chain.
"""

import asyncio
import logging
from dataclasses import replace

from chains.chain import Chain
from chains.errors import RpcError
from chains.hexdata import format_data
from chains.nonce_user import user_of_nonce
from chains.nonces import SLACK, Counts, Known, all_the_same, choose, is_believable, is_supported
from chains.quantities import COUNT_BITS, quantity
from chains.quote import Quote, pending_count
from chains.rpc import ChainClient
from intents import wallets, witness
from vault.context import Context
from vault.errors import Problem, unavailable

log = logging.getLogger(__name__)

# How long an endpoint that did not answer the last time is waited for
OUT_OF_USE_S = 1.5


async def believed(
    context: Context, client: ChainClient, chain: Chain, address: bytes, known: Known, quoted: Quote
) -> Quote:
    """`quoted` with counts that may be gone by; Problem 503 where nobody's word is believable.

    No lock is held: what is decided here is checked against the locked tracker again.
    """
    said = Counts(quoted.mined_nonce, quoted.pending_nonce)
    if not is_believable(said, known):
        said = await _doubted(context, client, chain, address, said)
    ours = known.ours_from(said.mined)
    if known.tracked > max(said.next, said.mined + ours):
        # a count that went back: a node that lags, or a chain that began anew since it was last looked at
        await client.verify_chain()
        await _check_history(context, client, chain, address, said.mined)
    near = is_supported(said, known.tracked, ours)
    if not near and not await within_reach(context, client, chain, address, known.tracked, said):
        raise _gap(chain, address, known.tracked, said)
    return replace(quoted, mined_nonce=said.mined, pending_nonce=said.next)


async def ask_each(client: ChainClient, address: bytes) -> list[Counts | None]:
    """What every endpoint says now, in their order; None for one that does not answer."""
    return list(await asyncio.gather(*(_ask(each, address) for each in client.each())))


async def ask_all(client: ChainClient, address: bytes) -> list[Counts]:
    """What every endpoint says that answers now, in their order."""
    return [counts for counts in await ask_each(client, address) if counts is not None]


async def _ask(client: ChainClient, address: bytes) -> Counts | None:
    account = format_data(address)
    try:
        # one that did not answer the last time keeps nobody waiting for its whole time-out
        async with asyncio.timeout(None if client.is_sound else OUT_OF_USE_S):
            mined, pending = await client.batch(
                [
                    ("eth_getTransactionCount", [account, "latest"]),
                    ("eth_getTransactionCount", [account, "pending"]),
                ]
            )
        return Counts(quantity(mined, COUNT_BITS), pending_count(pending, mined))
    except (RpcError, TimeoutError) as error:
        log.info("an endpoint does not say an account's counts: %s", error)
        return None


async def _doubted(context: Context, client: ChainClient, chain: Chain, address: bytes, first: Counts) -> Counts:
    """What may be gone by although the first word was beyond belief at first sight."""
    async with context.database.statements() as connection:
        known = await wallets.known(connection, chain.chain_id, address, first.mined)
    tracked = known.tracked
    if is_believable(first, known):  # with fillers and what is in blocks
        return first
    said = await ask_all(client, address)
    lowest = min((each.mined for each in said), default=0)
    async with context.database.statements() as connection:
        known = await wallets.known(connection, chain.chain_id, address, lowest)
        # A key that is used elsewhere too, or was before it came here: all say so, or the chain shows who used the
        # nonce. Of the only endpoint its blocks' count is believed without that, unless something of ours waits that
        # an earlier word may have led astray: a second lie meets what was signed by the first, whatever kind of
        # signature that is, and when it falls again, nothing more is signed (`_gap`).
        alone = len(client.each()) == 1 and not await wallets.speaks_against(
            connection, chain.chain_id, address, lowest, known.settled
        )
    if lowest > known.tracked + SLACK and (
        alone or all_the_same([each.mined for each in said]) or await _is_used(client, address, lowest - 1)
    ):
        known = Known(lowest)
    chosen = choose(first, said, known)
    if chosen is None:
        log.warning(
            "chain %s, wallet %s: counts of %s are not believed; the next nonce here is %d",
            chain.name,
            format_data(address),
            [(each.mined, each.pending) for each in said] or "nobody",
            tracked,
        )
        raise unavailable(
            f"The nonce count that {chain.name} names for this wallet is not believable: {first.mined} mined and"
            f" {first.next} with what is pending, where {tracked} is the next nonce here, and no other endpoint"
            " names a believable one. Nothing was signed. If the count is right, an owner or admin of the"
            f" organisation may resynchronise the wallet (POST {path_of(chain, address)}/resync)."
        )
    return chosen


async def proven(client: ChainClient, address: bytes, tracked: int, mined: int) -> int:
    """The mined count as far as more than one endpoint's word bears it out; `tracked` where nothing does."""
    if mined <= tracked + SLACK:
        return mined
    said = [each.mined for each in await ask_all(client, address)]
    if all_the_same(said) or (said and min(said) >= mined and await _is_used(client, address, mined - 1)):
        return min(said)
    return tracked


async def _is_used(client: ChainClient, address: bytes, nonce: int) -> bool:
    """Does the chain hold the transaction that used `nonce`? A count alone can be said by anybody."""
    try:
        latest = quantity(await client.call("eth_blockNumber", []), COUNT_BITS)
        return await user_of_nonce(client, address, nonce, latest) is not None
    except RpcError:
        return False


async def within_reach(
    context: Context, client: ChainClient, chain: Chain, address: bytes, nonce: int, first: Counts
) -> bool:
    """Can a transaction with `nonce` be mined once ours before it are, by `first` or any other endpoint's word?"""
    for others in (False, True):
        said = await ask_all(client, address) if others else [first]
        # what several say alike of their pools is believed as long as they do
        if all_the_same([each.next for each in said]) and nonce <= said[0].next + SLACK:
            return True
        async with context.database.statements() as connection:
            for each in said:
                ours = await wallets.occupied(connection, chain.chain_id, address, each.mined, nonce)
                if is_supported(each, nonce, ours):
                    return True
        if len(client.each()) == 1:
            break
    return False


async def _check_history(context: Context, client: ChainClient, chain: Chain, address: bytes, mined: int) -> None:
    """503 when the chain neither counts what was final there nor knows its block: nothing we sign could be mined."""
    async with context.database.statements() as connection:
        block = await witness.of_wallet(connection, chain.chain_id, address, mined)
    if block is not None and await witness.is_gone(client, block):
        raise unavailable(
            f"{chain.name} has mined {mined} transactions of this wallet, but a later one was final there in block"
            f" {format_data(block)}, which no endpoint knows now: nothing was signed. Either they lag far behind, or"
            " the chain was reset; then the platform admin has to say so (POST /v1/admin/chains/{id}/reset).",
            retry_after_s=60,
        )


def _gap(chain: Chain, address: bytes, tracked: int, said: Counts) -> Problem:
    return unavailable(
        f"The next nonce of this wallet is {tracked} here, but {chain.name} has mined {said.mined} and knows of"
        f" {said.next}: nothing signed there could be mined, so nothing was signed. An owner or admin of the"
        f" organisation can resynchronise the wallet (POST {path_of(chain, address)}/resync).",
        retry_after_s=60,
    )


def path_of(chain: Chain, address: bytes) -> str:
    """Where people see to this wallet."""
    return f"/v1/wallets/{chain.name}/{format_data(address)}"
