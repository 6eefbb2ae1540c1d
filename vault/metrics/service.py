"""One page for all who ask at the same time, at most a second old."""

import asyncio
import time
from typing import cast

from fastapi import Request

from vault.context import Context
from vault.health.service import Probe, probe_of
from vault.metrics.balances import Balances
from vault.metrics.facts import read_facts
from vault.metrics.page import Moment, write

MAX_AGE_S = 1.0


class Scraper:
    """One per application."""

    def __init__(self, context: Context, probe: Probe) -> None:
        self._context, self._probe = context, probe
        self._balances = Balances(context)
        self._turn = asyncio.Lock()
        self._page, self._written_at = b"", -MAX_AGE_S

    async def page(self) -> bytes:
        """The page; never waits longer than the health probe's two timeouts."""
        async with self._turn:
            if time.monotonic() - self._written_at > MAX_AGE_S:
                self._page = await asyncio.to_thread(write, await self._look())
                self._written_at = time.monotonic()
            return self._page

    async def _look(self) -> Moment:
        state, facts, balances = await asyncio.gather(
            self._probe.state(), read_facts(self._context.database), self._balances.current()
        )
        options = self._context.options
        endpoints = tuple(self._context.chains.endpoints())
        return Moment(facts, state, balances, options.low_balance_wei, options.version, endpoints)


def scraper_of(request: Request) -> Scraper:
    """FastAPI dependency: the application's scraper, made on first use."""
    state = request.app.state
    if not hasattr(state, "scraper"):
        state.scraper = Scraper(state.context, probe_of(request))
    return cast(Scraper, state.scraper)
