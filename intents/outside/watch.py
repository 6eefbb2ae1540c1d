"""The worker's part: ask about all wallets at the start and again and again, and tell their people.

A chain that hangs holds up no other: each has a look of its own under way, with an end.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Final

from intents.outside import accounts
from intents.outside.ask import look
from intents.outside.compare import compare_all, is_asked, settle
from intents.outside.tell import tell
from vault.context import Context
from vault.networks.service import load_chain
from vault.restores import gate as restored

log = logging.getLogger(__name__)

# how soon a chain is asked again about the wallets in its turn, and about those that wait for it
EVERY_S: Final = 15.0
WAITING_EVERY_S: Final = 3.0
MAX_WALLETS: Final = 200
# whether there is any wallet to ask about, in SQL
IS_DUE: Final = "EXISTS (SELECT FROM wallets)"
LOOK_S: Final = 90.0


@dataclass
class _Chain:
    """Where the round over a chain's wallets stands."""

    looked_at: float = -EVERY_S
    waited_at: float = -WAITING_EVERY_S
    after: bytes = b""
    look: "asyncio.Task[None] | None" = None


@dataclass
class Watch:
    """The looks under way, one per chain; of the leading worker."""

    chains: dict[int, _Chain] = field(default_factory=dict)

    async def tick(self, context: Context) -> None:
        """Begin a look at each chain that is due."""
        await compare_all(context)
        await tell(context)
        async with context.database.statements() as connection:
            waiting = await accounts.waiting(connection, MAX_WALLETS)
            in_use = await accounts.chains_in_use(connection)
            if await restored.find(connection) is not None:
                return  # a human looks at all of them, and nobody signs
        now = time.monotonic()
        for chain_id in in_use:
            state = self.chains.setdefault(chain_id, _Chain())
            if not is_asked(context, chain_id) or (state.look is not None and not state.look.done()):
                continue
            if chain_id in waiting and now - state.waited_at >= WAITING_EVERY_S:
                state.waited_at = now
                state.look = asyncio.create_task(self._look(context, chain_id, waiting[chain_id]))
            elif now - state.looked_at >= EVERY_S:
                state.looked_at = now
                state.look = asyncio.create_task(self._next(context, chain_id, state))

    async def close(self) -> None:
        """Stop where it stands: all of it is found again."""
        looks = [state.look for state in self.chains.values() if state.look is not None]
        self.chains.clear()
        for each in looks:
            each.cancel()
        await asyncio.gather(*looks, return_exceptions=True)

    async def _next(self, context: Context, chain_id: int, state: _Chain) -> None:
        async with context.database.statements() as connection:
            line = await accounts.page(connection, chain_id, state.after, MAX_WALLETS)
        # a short page is the last one: the next round begins at the first
        state.after = line[-1] if len(line) == MAX_WALLETS else b""
        await self._look(context, chain_id, line)

    async def _look(self, context: Context, chain_id: int, addresses: list[bytes]) -> None:
        try:
            async with context.database.statements() as connection:
                chain = await load_chain(connection, chain_id)
            if chain is None or not addresses:
                return
            async with asyncio.timeout(LOOK_S):
                start, found = await look(context, chain, addresses, prove=True)
            await settle(context, chain, start, found)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one chain, the others are looked at
            log.warning("the wallets of chain %d could not be compared: %s", chain_id, type(error).__name__)
