"""Requests for one wallet queue here, in the process, before they take a database connection.

Without it a burst on one wallet would hold every pooled connection just to wait for one row lock.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vault.errors import unavailable

MAX_WAITING = 2_000
WAIT_S = 30.0


class WalletQueue:
    """First come, first served per wallet; a queue that is too long or too slow answers 503."""

    def __init__(self) -> None:
        self._locks: dict[tuple[int, bytes], asyncio.Lock] = {}
        self._waiting: dict[tuple[int, bytes], int] = {}

    @asynccontextmanager
    async def turn(self, chain_id: int, address: bytes) -> AsyncIterator[None]:
        """Hold the wallet's turn for the block; raises 503 when it does not come within `WAIT_S` seconds."""
        wallet = (chain_id, address)
        waiting = self._waiting.get(wallet, 0)
        if waiting >= MAX_WAITING:
            raise unavailable("Too many requests are waiting for this wallet; try again in a moment.")
        lock = self._locks.setdefault(wallet, asyncio.Lock())
        self._waiting[wallet] = waiting + 1
        try:
            try:
                await asyncio.wait_for(lock.acquire(), WAIT_S)
            except TimeoutError:
                raise unavailable("This wallet is busy; nothing was signed, try again in a moment.") from None
            try:
                yield
            finally:
                lock.release()
        finally:
            self._waiting[wallet] -= 1
            if not self._waiting[wallet]:
                del self._waiting[wallet]
                self._locks.pop(wallet, None)
