"""Ask the parts how they are. Anybody may call this, so the answer is shared and at most a second old."""

import asyncio
import time
from dataclasses import dataclass
from typing import cast

from fastapi import Request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from signer.client import SignerHealth
from signer.errors import SignerError
from vault.context import Context

MAX_AGE_S = 1.0
TIMEOUT_S = 3.0


@dataclass(frozen=True)
class State:
    """What was found: is the database answering, and what the signer says (None: it does not answer)."""

    database: bool
    signer: SignerHealth | None
    taken_at: float

    @property
    def healthy(self) -> bool:
        """Whether everything that a request needs is there."""
        return self.database and self.signer is not None and self.signer.ok


class Probe:
    """One per application: asks at most once a second, however many callers wait."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turn = asyncio.Lock()
        self._last: State | None = None

    async def state(self) -> State:
        """The state, at most `MAX_AGE_S` seconds old; never waits longer than two timeouts."""
        async with self._turn:
            if self._last is None or time.monotonic() - self._last.taken_at > MAX_AGE_S:
                database, signer = await asyncio.gather(self._database(), self._signer())
                self._last = State(database, signer, time.monotonic())
            return self._last

    async def _database(self) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT_S), self._context.database.begin() as transaction:
                await transaction.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError, TimeoutError):
            return False
        return True

    async def _signer(self) -> SignerHealth | None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._context.signer.health()
        except (SignerError, OSError, TimeoutError):
            return None


def probe_of(request: Request) -> Probe:
    """FastAPI dependency: the application's probe, made on first use."""
    state = request.app.state
    if not hasattr(state, "health_probe"):
        state.health_probe = Probe(request.app.state.context)
    return cast(Probe, state.health_probe)
