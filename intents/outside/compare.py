"""Act on what the chains count: let wallets sign, stop them, or freeze the instance.

At the start a wallet born in the HSM that is ahead means that this database is an older copy; in running it means
that somebody else has its key, or that such a copy runs elsewhere. An imported one may be used elsewhere: it stops
at the start only, where its nonces may be ours that this copy lost; later it goes along, and its people are told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import format_address
from chains.ahead import Verdict, lowest_ahead
from chains.chain import Chain
from chains.defaults import ANVIL
from intents.outside import accounts
from intents.outside.accounts import Start
from intents.outside.ask import Found, look
from intents.outside.people import holders
from vault.audit.write import write
from vault.context import Context
from vault.networks import repository
from vault.networks.service import chain_of, load_chain
from vault.restores import gate as restored

log = logging.getLogger(__name__)

# the first look at all chains: who does not answer by then keeps its own wallets waiting
FIRST_LOOK_S: Final = 15.0
# of each chain in the first look; the others follow, where they were used before
MAX_FIRST: Final = 1_000
MAX_CHAINS: Final = 1_000
_ALL: Final = (0, b"")


def is_asked(context: Context, chain_id: int) -> bool:
    """Whether the chain's word is asked: Talon's own local chain lies in the same home as the database."""
    return not (context.options.owns_local_chain and chain_id == ANVIL.chain_id)


async def compare_all(context: Context) -> None:
    """Ask all chains once since the start, before any wallet of one that has to be asked may sign."""
    await _once(context, _ALL, lambda: _compare_all(context))


async def compare_one(
    context: Context, chain: Chain, address: bytes, *, prove: bool, hurry: bool = False
) -> Found | None:
    """Ask about one wallet now; what was found, None where somebody else was asking already."""
    found: list[Found] = []

    async def ask() -> None:
        start, new = await look(context, chain, [address], prove=prove, hurry=hurry)
        await settle(context, chain, start, new)
        found.extend(new)

    await _once(context, (chain.chain_id, address), ask)
    return found[0] if found else None


async def _once(context: Context, key: tuple[int, bytes], do: Callable[[], Awaitable[None]]) -> None:
    """However many ask at once in this process, one looks; it goes on when the one who began it goes away."""
    running = context.comparisons.get(key)
    if running is None:
        running = context.comparisons[key] = asyncio.ensure_future(do())
        running.add_done_callback(lambda _: context.comparisons.pop(key, None))
    await asyncio.shield(running)


async def _compare_all(context: Context) -> None:
    async with context.database.statements() as connection:
        start = await accounts.started(connection)
        if start.is_compared:
            return
        used = await _used(context, connection)
        # their first payment may have come after this copy was made
        unused = await _unused(context, connection)
    looks = [asyncio.ensure_future(look(context, chain, line, prove=True)) for chain, line in used + unused]
    if looks:
        await asyncio.wait(looks, timeout=FIRST_LOOK_S)
    found = [(chain, _found(chain, task)) for (chain, _), task in zip(used + unused, looks, strict=True)]
    # an old copy is found before any wallet may sign
    for number, (chain, wallets) in enumerate(found):
        is_old = _means_an_old_copy if number < len(used) else _is_ahead
        await _freeze(context, chain, [each for each in wallets if is_old(each)])
    for chain, wallets in found[: len(used)]:
        await settle(context, chain, start, wallets)
    async with context.database.statements() as connection:
        await accounts.all_compared(connection, start.epoch)


async def _used(context: Context, connection: AsyncConnection) -> list[tuple[Chain, list[bytes]]]:
    """The chains on which wallets wait to be compared, with those."""
    waiting = await accounts.waiting(connection, MAX_FIRST)
    chains = [(await load_chain(connection, chain_id), line) for chain_id, line in waiting.items()]
    return [(chain, line) for chain, line in chains if chain is not None and is_asked(context, chain.chain_id)]


async def _unused(context: Context, connection: AsyncConnection) -> list[tuple[Chain, list[bytes]]]:
    """The enabled chains with the wallets born here that this database has never used there."""
    chains = [chain_of(row) for row in await repository.enabled(connection, MAX_CHAINS)]
    asked = [each for each in chains if is_asked(context, each.chain_id) and context.chains.knows(each)]
    lines = [(each, await accounts.never_used(connection, each.chain_id, MAX_FIRST)) for each in asked]
    return [(chain, line) for chain, line in lines if line]


def _found(chain: Chain, task: "asyncio.Task[tuple[Start, list[Found]]]") -> list[Found]:
    """What a look found; nothing where it had an error, or no end."""
    if not task.done():
        task.cancel()
    elif (error := task.exception()) is not None:
        log.warning("chain %s could not be compared: %s", chain.name, type(error).__name__)
    else:
        return task.result()[1]
    return []


async def settle(context: Context, chain: Chain, start: Start, found: Sequence[Found]) -> None:
    """Write down what it means for each wallet; `start` is as it was when they were looked at."""
    await _freeze(context, chain, [each for each in found if _means_an_old_copy(each)])
    for each in found:
        if each.verdict is Verdict.WITHIN:
            await _within(context, chain, start, each)
        elif each.verdict is Verdict.AHEAD and not _means_an_old_copy(each):
            await _ahead(context, chain, start, each)


def _means_an_old_copy(found: Found) -> bool:
    account = found.account
    is_first_use = account.accounted_to is None
    return found.verdict is Verdict.AHEAD and account.is_born and not account.is_compared and not is_first_use


def _is_ahead(found: Found) -> bool:
    return found.verdict is Verdict.AHEAD


async def _freeze(context: Context, chain: Chain, found: Sequence[Found]) -> None:
    old = [each for each in found if each.account.stopped_at is None]
    if not old:
        return
    async with context.database.begin() as connection:
        if await restored.find(connection) is not None:
            return
        # told to every agent: which wallet it is, only its people hear
        await restored.freeze(
            connection,
            "chain",
            f"{chain.name} has mined a transaction of a wallet born in this HSM that this database does not know:"
            " it is an older copy of it.",
        )
    log.critical(
        "chain %s has transactions of wallet %s that were not signed here (%s mined, nonce %d is not ours):"
        " nothing is signed until the platform admin has looked (GET /v1/admin/restore)",
        chain.name,
        format_address(old[0].account.address),
        list(old[0].said),
        old[0].account.unsigned,
    )


async def _within(context: Context, chain: Chain, start: Start, found: Found) -> None:
    account = found.account
    to = account.unsigned
    if account.accounted_to is None and not account.is_born:
        to = max(to, min(found.said))
    if account.is_compared and account.accounted_to is not None and to <= account.accounted_to:
        return
    async with context.database.statements() as connection:
        await accounts.is_within(connection, chain.chain_id, account.address, to, start.epoch)


async def _ahead(context: Context, chain: Chain, start: Start, found: Found) -> None:
    account = found.account
    mined = lowest_ahead(found.said, account.unsigned)
    if account.stopped_at is not None:
        return
    async with context.database.begin() as connection:
        if await restored.find(connection) is not None:
            return  # a human looks at all of them
        if not account.is_born and account.is_compared:
            await accounts.has_drifted(connection, chain.chain_id, account.address, mined, start.epoch)
            log.info("chain %s, wallet %s is used elsewhere", chain.name, format_address(account.address))
            return
        why = _why(chain, account.is_born, mined, account.unsigned)
        if await accounts.stop(connection, chain.chain_id, account.address, why, start.epoch):
            await _audit(connection, chain, account.address, why, mined, account.unsigned)
            log.error("chain %s, wallet %s: %s", chain.name, format_address(account.address), why)


def _why(chain: Chain, is_born: bool, mined: int, unsigned: int) -> str:
    counted = f"{chain.name} counts {mined} transactions of it, and nonce {unsigned} was not signed here"
    if is_born:
        return f"{counted}, although its key was born in this HSM: nobody else should have it."
    return f"{counted}: its key was used elsewhere, or this database is an older copy."


async def _audit(
    connection: AsyncConnection, chain: Chain, address: bytes, why: str, mined: int, unsigned: int
) -> None:
    for org_id in await holders(connection, address):
        await write(
            connection,
            org_id=org_id,
            actor_type="system",
            actor_id="talon",
            action="wallet.stop",
            resource_type="wallet",
            resource_id=f"{chain.chain_id}:{format_address(address)}",
            details={"chain": chain.name, "mined": mined, "not_signed": unsigned, "reason": why},
        )
