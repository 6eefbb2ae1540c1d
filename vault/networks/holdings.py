"""Whether addresses hold native coin on any chain where it is worth something: asked side by side, for 2 s in all."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chains.chain import Chain
from chains.errors import ChainsError, NoEndpoint
from chains.quantities import AMOUNT_BITS, quantity
from chains.rpc import ChainClient
from vault.context import Context
from vault.networks import repository
from vault.networks.service import chain_of

PATIENCE_S: Final = 2.0
BATCH: Final = 100
# more are not asked for, which counts as not read
MAX_ADDRESSES: Final = 1_000
MAX_CHAINS: Final = 500
MAX_NAMED: Final = 5


@dataclass(frozen=True)
class Holdings:
    """Names of chains on which an address was seen to hold coin, and of those that did not say (at most 5 each)."""

    holding: tuple[str, ...]
    unread: tuple[str, ...]
    patience_s: float = PATIENCE_S

    @property
    def may_hold(self) -> bool:
        """Whether it is not certain that all addresses are empty."""
        return bool(self.holding or self.unread)


async def find_holdings(context: Context, addresses: Sequence[bytes]) -> Holdings:
    """What the enabled chains that are no testnets and have an endpoint say now; tokens are not looked for.

    Call it without a connection or lock in hand. Never raises for what a chain does or leaves undone.
    """
    async with context.database.statements() as connection:
        chains = [chain_of(row) for row in await repository.mainnets(connection, MAX_CHAINS)]
    asked, unread = addresses[:MAX_ADDRESSES], set[str]()
    questions: dict[asyncio.Task[bool | None], str] = {}
    for chain in chains:
        client = _client(context, chain)
        if client is None:
            continue
        if len(addresses) > MAX_ADDRESSES:
            unread.add(chain.name)
        for start in range(0, len(asked), BATCH):
            questions[asyncio.create_task(_hold_coin(client, asked[start : start + BATCH]))] = chain.name
    if not questions:
        return Holdings((), ())
    try:
        await asyncio.wait(questions, timeout=PATIENCE_S)
    finally:
        # nobody waits for their ends: a hanging node can draw even that out
        for question in questions:
            question.cancel()
    answers = {question: _answer(question) for question in questions}
    holding = {questions[question] for question, answer in answers.items() if answer}
    unread |= {questions[question] for question, answer in answers.items() if answer is None}
    return Holdings(_some(holding), _some(unread))


def _client(context: Context, chain: Chain) -> ChainClient | None:
    try:
        return context.chains.for_chain(chain)
    except NoEndpoint:
        return None


async def _hold_coin(client: ChainClient, addresses: Sequence[bytes]) -> bool | None:
    """Whether any of them holds coin; None where that cannot be read of all and none is seen to."""
    try:
        answers = await client.batch([("eth_getBalance", [f"0x{each.hex()}", "latest"]) for each in addresses])
    except ChainsError:
        return None
    balances = [_balance(answer) for answer in answers]
    if any(balances):
        return True
    return None if None in balances or len(balances) != len(addresses) else False


def _balance(answer: object) -> int | None:
    try:
        return quantity(answer, AMOUNT_BITS)
    except ChainsError:
        return None


def _answer(question: asyncio.Task[bool | None]) -> bool | None:
    if not question.done() or question.cancelled() or question.exception() is not None:
        return None
    return question.result()


def _some(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names))[:MAX_NAMED]
