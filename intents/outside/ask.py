"""Ask every endpoint of a chain how many transactions of some wallets are in its blocks, and judge what they say."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from chains.ahead import Verdict, judge, may_wait
from chains.chain import Chain
from chains.errors import NoEndpoint, RpcError
from chains.hexdata import format_data
from chains.quantities import COUNT_BITS, quantity
from chains.rpc import ChainClient
from chains.sent_search import Steps
from intents.answers import optional
from intents.counts import OUT_OF_USE_S
from intents.outside import accounts
from intents.outside.accounts import Account, Start
from vault.context import Context

log = logging.getLogger(__name__)

ANSWER_S: Final = 6.0
# how long who is in a hurry waits for the others once an endpoint has answered
GRACE_S: Final = 1.0
PROOF_S: Final = 8.0
# wallets in one exchange with an endpoint
AT_ONCE: Final = 100
# searches for a proof in one look at a chain: who lies about all wallets causes no more
MAX_PROOFS: Final = 4
# of one wallet in one look; more of them in a row are found by the next
MAX_DEPOSITS: Final = 8


@dataclass(frozen=True)
class Found:
    """A wallet, the counts that its chain's endpoints named, and what they say together; None: nobody answered."""

    account: Account
    said: tuple[int, ...]
    verdict: Verdict | None


async def look(
    context: Context, chain: Chain, addresses: Sequence[bytes], *, prove: bool, hurry: bool = False
) -> tuple[Start, list[Found]]:
    """What speaks for somebody else's signatures, wallet by wallet; `prove` looks for a disputed one on the chain.

    In a `hurry` nobody waits for an endpoint that hangs beside one that answers, unless its word stops a wallet:
    whoever hides something for that second is found out by the next look, in running.
    """
    start, found = await _judge(context, chain, addresses, hurry)
    if hurry and any(each.verdict is not Verdict.WITHIN for each in found):
        start, found = await _judge(context, chain, addresses, hurry=False)
    if prove:
        doubted = [each for each in found if each.verdict is Verdict.DISPUTED]
        for each in doubted[:MAX_PROOFS]:
            found[found.index(each)] = await _proven(context, chain, each)
    ahead = [each for each in found if each.verdict is Verdict.AHEAD and _may_be_deposits(each)]
    for each in ahead[:MAX_PROOFS]:
        found[found.index(each)] = await _without_deposits(context, chain, each)
    return start, [_outvoted(each) for each in found]


async def _judge(
    context: Context, chain: Chain, addresses: Sequence[bytes], hurry: bool
) -> tuple[Start, list[Found]]:
    """The database is read after the chain: what a block can hold of ours was signed, and written down, before."""
    said = await _counts(context, chain, addresses, hurry)
    async with context.database.statements() as connection:
        start, known = await accounts.read(connection, chain.chain_id, addresses)
    return start, [_judged(known[address], said.get(address, ())) for address in addresses]


async def _counts(
    context: Context, chain: Chain, addresses: Sequence[bytes], hurry: bool
) -> dict[bytes, tuple[int, ...]]:
    """The mined counts of each wallet, one per endpoint that answers; nothing where none does."""
    try:
        endpoints = context.chains.for_chain(chain).each()
    except NoEndpoint:
        return {}
    said: dict[bytes, list[int]] = {}
    for first in range(0, len(addresses), AT_ONCE):
        part = addresses[first : first + AT_ONCE]
        for counts in await _each(endpoints, part, hurry):
            for address, count in zip(part, counts, strict=False):
                if count is not None:
                    said.setdefault(address, []).append(count)
    return {address: tuple(counts) for address, counts in said.items()}


async def _each(endpoints: Sequence[ChainClient], addresses: Sequence[bytes], hurry: bool) -> list[list[int | None]]:
    """What each endpoint says that answers in time."""
    asked = {asyncio.ensure_future(_ask(each, addresses)): each for each in endpoints}
    try:
        if hurry:
            for answer in asyncio.as_completed(asked):
                if any(count is not None for count in await answer):
                    break
            _, late = await asyncio.wait(asked, timeout=GRACE_S)
            for each in late:
                asked[each].overtaken()
            return [each.result() for each in asked if each not in late]
        return await asyncio.gather(*asked)
    finally:
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _ask(endpoint: ChainClient, addresses: Sequence[bytes]) -> list[int | None]:
    try:
        async with asyncio.timeout(OUT_OF_USE_S if endpoint.is_out else ANSWER_S):
            answers = await endpoint.batch(
                [("eth_getTransactionCount", [format_data(each), "latest"]) for each in addresses]
            )
    except (RpcError, TimeoutError) as error:
        # who asks for a signature is told; what is wrong with the endpoint, its client has said once
        log.debug("an endpoint does not say how many transactions are mined: %s", error)
        return []
    return [optional(each, COUNT_BITS) for each in answers]


def _judged(account: Account, said: tuple[int, ...]) -> Found:
    if not said:
        return Found(account, said, None)
    if account.accounted_to is None and not account.is_born:
        # the first use of a key from outside: what was before is nobody's business
        return Found(account, said, Verdict.WITHIN)
    return Found(account, said, judge(said, account.unsigned))


async def _proven(context: Context, chain: Chain, found: Found) -> Found:
    """`found` as ahead, where an endpoint that says so shows the transaction with the key's own signature."""
    account = found.account
    for endpoint in context.chains.for_chain(chain).each():
        try:
            async with asyncio.timeout(_patience_s(endpoint)):
                steps = await _steps(endpoint, account.address)
                if await steps.find([account.unsigned]):
                    return replace(found, verdict=Verdict.AHEAD)
        except (RpcError, TimeoutError) as error:
            log.info("chain %s: an endpoint shows no transaction: %s", chain.name, error)
    log.warning(
        "chain %s, wallet %s: endpoints name %s mined transactions, %d were signed here; nobody shows the others",
        chain.name,
        format_data(account.address),
        list(found.said),
        account.unsigned,
    )
    return found


def _may_be_deposits(found: Found) -> bool:
    return found.account.is_born and found.account.stopped_at is None


async def _without_deposits(context: Context, chain: Chain, found: Found) -> Found:
    """`found` behind the deposits of the same account, if every endpoint that shows anything shows those."""
    account = found.account
    for _ in range(MAX_DEPOSITS):
        shown = await asyncio.gather(
            *(_shows_deposit(each, account) for each in context.chains.for_chain(chain).each())
        )
        answers = [each for each in shown if each is not None]
        if not answers or not all(answers):
            break
        log.warning(
            "chain %s, wallet %s: nonce %d was used by a deposit",
            chain.name,
            format_data(account.address),
            account.unsigned,
        )
        async with context.database.statements() as connection:
            await accounts.account_for(connection, chain.chain_id, account.address, account.unsigned + 1)
            _, known = await accounts.read(connection, chain.chain_id, [account.address])
        account = known[account.address]
        found = Found(account, found.said, judge(found.said, account.unsigned))
        if found.verdict is Verdict.WITHIN:
            break
    return found


async def _shows_deposit(endpoint: ChainClient, account: Account) -> bool | None:
    """Whether this endpoint shows a deposit at the first nonce that we did not sign; None: it does not answer."""
    try:
        async with asyncio.timeout(_patience_s(endpoint)):
            steps = await _steps(endpoint, account.address)
            return await steps.shows_deposit(account.unsigned)
    except (RpcError, TimeoutError):
        return None


def _patience_s(endpoint: ChainClient) -> float:
    return OUT_OF_USE_S if endpoint.is_out else PROOF_S


async def _steps(endpoint: ChainClient, address: bytes) -> Steps:
    head, mined = await endpoint.batch(
        [("eth_blockNumber", []), ("eth_getTransactionCount", [format_data(address), "latest"])]
    )
    return Steps(endpoint, address, quantity(head, COUNT_BITS), quantity(mined, COUNT_BITS))


def _outvoted(found: Found) -> Found:
    """A dispute that nothing decides holds up only a wallet that was not compared yet, and only one word to one."""
    if found.verdict is Verdict.DISPUTED and (
        found.account.is_compared or not may_wait(found.said, found.account.unsigned)
    ):
        return replace(found, verdict=Verdict.WITHIN)
    return found
