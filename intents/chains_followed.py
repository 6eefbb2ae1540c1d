"""Follow every wallet with open transactions: chains side by side, a few wallets of each at a time.

A chain that does not answer holds up no other: it is looked at less and less often, and one line is logged when it
goes and one when it is back. What is held of the database is a connection for a statement, never during a question to
a chain, and the pool bounds how many.
"""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from chains.chain import Chain
from chains.errors import RpcError, RpcUnavailable, Unreadable, WrongChain
from intents.reconcile import Memory, reconcile_wallet
from vault.context import Context
from vault.networks.service import load_chain

log = logging.getLogger(__name__)

# Of each chain, in one round and at the same time
MAX_WALLETS: Final = 200
WALLETS_AT_ONCE: Final = 4
# How long a chain that did not answer is left alone; twice as long after every further round
FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 30.0

# whether any transaction is on its way, in SQL; in its index's order, or the planner may read a whole table for none
IS_DUE: Final = """(
    SELECT true FROM transactions WHERE final_at IS NULL ORDER BY chain_id, wallet_address, nonce LIMIT 1
) IS NOT NULL"""

# those that make trouble, or wait for a chain that does, are not in anybody's way: each chain has a line of its own.
# A time that is still to come is of a clock that was stepped back since.
_WALLETS = text("""
    SELECT chain_id, address FROM (
        SELECT w.chain_id, w.address,
               row_number() OVER (
                   PARTITION BY w.chain_id
                   ORDER BY w.reconciled_at > clock_timestamp() DESC NULLS FIRST, w.reconciled_at
               ) AS place
        FROM wallets w
        WHERE w.chain_id <> ALL(:busy)
          AND EXISTS (SELECT 1 FROM transactions t WHERE t.chain_id = w.chain_id
                      AND t.wallet_address = w.address AND t.final_at IS NULL)
    ) lines
    WHERE place <= :max_wallets ORDER BY chain_id, place
""")

# before the work, so that a wallet that makes trouble is not first in line for ever
_TOUCH = text("""
    UPDATE wallets SET reconciled_at = clock_timestamp() WHERE chain_id = :chain_id AND address = :address
""")


@dataclass
class _Silence:
    """A chain that does not answer: until when it is left alone."""

    until: float
    pause_s: float


class ChainsFollowed:
    """The rounds under way, and which chains are silent; one per leading worker."""

    def __init__(self) -> None:
        self._rounds: dict[int, asyncio.Task[None]] = {}
        self._silent: dict[int, _Silence] = {}
        self._odd: dict[tuple[int, bytes], str] = {}
        self._memory = Memory()

    async def tick(self, context: Context) -> int:
        """Begin a round on every chain with open transactions that has none under way; returns how many."""
        now = time.monotonic()
        self._rounds = {chain_id: task for chain_id, task in self._rounds.items() if not task.done()}
        busy = {*self._rounds, *(chain_id for chain_id, silence in self._silent.items() if silence.until > now)}
        async with context.database.statements() as connection:
            rows = await connection.execute(_WALLETS, {"busy": list(busy), "max_wallets": MAX_WALLETS})
            lines: dict[int, deque[bytes]] = {}
            for chain_id, address in rows:
                lines.setdefault(chain_id, deque()).append(bytes(address))
            # disabled and removed chains too: what was signed is seen through
            chains = [(await load_chain(connection, chain_id), line) for chain_id, line in lines.items()]
        for chain, line in chains:
            if chain is not None:
                self._rounds[chain.chain_id] = asyncio.create_task(self._round(context, chain, line))
        return len(chains)

    async def close(self) -> None:
        """Stop where it stands: whatever was not finished is found again."""
        rounds, self._rounds = list(self._rounds.values()), {}
        for task in rounds:
            task.cancel()
        await asyncio.gather(*rounds, return_exceptions=True)

    async def _round(self, context: Context, chain: Chain, line: deque[bytes]) -> None:
        """All wallets of one chain, once; ends early when the chain does not answer."""
        ends = await asyncio.gather(
            *(self._serve(context, chain, line) for _ in range(WALLETS_AT_ONCE)), return_exceptions=True
        )
        trouble = next((end for end in ends if isinstance(end, BaseException)), None)
        if isinstance(trouble, RpcError):
            self._is_silent(chain, trouble)
        elif trouble is not None:
            log.warning("chain %s was not followed: %s", chain.name, type(trouble).__name__)
        elif self._silent.pop(chain.chain_id, None) is not None:
            log.warning("chain %s answers again", chain.name)

    async def _serve(self, context: Context, chain: Chain, line: deque[bytes]) -> None:
        """Wallet after wallet; without the chain or the database the rest of the line is left for another round."""
        while line:
            address = line.popleft()
            wallet = (chain.chain_id, address)
            try:
                async with context.database.statements() as connection:
                    await connection.execute(_TOUCH, {"chain_id": chain.chain_id, "address": address})
                await reconcile_wallet(context, chain, address, self._memory)
                self._odd.pop(wallet, None)
            except (RpcUnavailable, WrongChain, SQLAlchemyError, OSError) as error:
                if not isinstance(error, Unreadable):
                    line.clear()
                    raise
                self._is_odd(chain, wallet, error)
            except RpcError as error:
                self._is_odd(chain, wallet, error)
            except Exception:  # whatever is wrong with one wallet, the others of the chain are followed
                log.exception("chain %s, wallet 0x%s", chain.name, address.hex())

    def _is_silent(self, chain: Chain, error: BaseException) -> None:
        known = self._silent.get(chain.chain_id)
        if known is None:
            log.warning("chain %s: %s; it is looked at less and less often until it answers", chain.name, error)
        pause_s = FIRST_PAUSE_S if known is None else min(2 * known.pause_s, MAX_PAUSE_S)
        self._silent[chain.chain_id] = _Silence(time.monotonic() + pause_s, pause_s)

    def _is_odd(self, chain: Chain, wallet: tuple[int, bytes], error: RpcError) -> None:
        """Log what a node said of a wallet, once for as long as it says the same."""
        if self._odd.get(wallet) != str(error):
            if len(self._odd) >= MAX_WALLETS:
                self._odd.clear()
            self._odd[wallet] = str(error)
            log.warning("chain %s, wallet 0x%s: %s", chain.name, wallet[1].hex(), error)
