"""What the wallets in use hold, asked of the chains in the background: a dead endpoint never holds up a scrape."""

import asyncio
import time
from collections.abc import Mapping
from itertools import groupby

import structlog
from sqlalchemy import text

from chains.errors import ChainsError, RpcError
from chains.quantities import AMOUNT_BITS, quantity
from vault.context import Context
from vault.metrics.facts import MAX_WALLETS
from vault.networks.service import load_chain

MAX_AGE_S = 60.0
# what a scrape waits for a round that has just begun
FIRST_WAIT_S = 0.5
ROUND_TIMEOUT_S = 20.0
# one chain that hangs may not cost the others their round
CHAIN_TIMEOUT_S = 12.0

log = structlog.get_logger(__name__)

# those looked at last by the worker are the ones in use
_WALLETS = text("""
    SELECT chain_id, encode(address, 'hex') AS address FROM wallets
    ORDER BY reconciled_at DESC NULLS LAST LIMIT :most
""")

Wallet = tuple[int, str]


class Balances:
    """One per process: balances in wei by chain id and address, at most about `MAX_AGE_S` seconds old."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: Mapping[Wallet, int] = {}
        self._asked_at = -MAX_AGE_S
        self._round: asyncio.Task[None] | None = None

    async def current(self) -> Mapping[Wallet, int]:
        """The last known balances; begins a new round when they are old, and waits for it only a moment."""
        if self._round is None and time.monotonic() - self._asked_at >= MAX_AGE_S:
            self._asked_at = time.monotonic()
            self._round = asyncio.create_task(self._ask_all())
        if self._round is not None:
            await asyncio.wait({self._round}, timeout=FIRST_WAIT_S)
        return self._known

    async def _ask_all(self) -> None:
        try:
            async with asyncio.timeout(ROUND_TIMEOUT_S):
                async with self._context.database.statements() as connection:
                    rows = (await connection.execute(_WALLETS, {"most": MAX_WALLETS})).all()
                wallets = sorted((row.chain_id, row.address) for row in rows)
                by_chain = [(chain_id, list(group)) for chain_id, group in groupby(wallets, key=lambda each: each[0])]
                found = await asyncio.gather(*(self._ask_chain(chain_id, group) for chain_id, group in by_chain))
            self._known = {wallet: balance for chain in found for wallet, balance in chain.items()}
        except Exception as error:  # noqa: BLE001 - without balances, the other metrics still count
            self._known = {}
            log.warning("balances not to be had", error=type(error).__name__)
        finally:
            self._round = None

    async def _ask_chain(self, chain_id: int, wallets: list[Wallet]) -> dict[Wallet, int]:
        try:
            async with self._context.database.statements() as connection:
                chain = await load_chain(connection, chain_id)
            if chain is None:
                return {}
            client = self._context.chains.for_chain(chain)
            async with asyncio.timeout(CHAIN_TIMEOUT_S):
                answers = await client.batch(
                    [("eth_getBalance", [f"0x{address}", "latest"]) for _, address in wallets]
                )
        except (ChainsError, TimeoutError) as error:
            log.info("balances not to be had from a chain", chain_id=chain_id, error=type(error).__name__)
            return {}
        return {
            wallet: balance
            for wallet, answer in zip(wallets, answers, strict=True)
            if (balance := _balance(answer)) is not None
        }


def _balance(answer: object) -> int | None:
    """Wei; None for what cannot be read, which says nothing about the wallets beside it."""
    try:
        return quantity(answer, AMOUNT_BITS)
    except RpcError:
        return None
