"""A worker's lock and its beat, for tests of what asks after them; nothing else of a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import text

from vault.db import Database
from vault.health.heartbeat import LEADER_LOCK

BEAT_S = 0.5


@asynccontextmanager
async def leading(database: Database) -> AsyncIterator[asyncio.Event]:
    """Lead; the event silences it, as a worker that hangs."""
    silent = asyncio.Event()
    async with database.engine.connect() as lock:
        await lock.execution_options(isolation_level="AUTOCOMMIT")
        assert (await lock.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": LEADER_LOCK})).scalar()

        async def beat() -> None:
            while not silent.is_set():
                await lock.execute(text("SELECT 1"))
                with suppress(TimeoutError):
                    await asyncio.wait_for(silent.wait(), BEAT_S)

        beating = asyncio.create_task(beat())
        yield silent
        silent.set()
        await beating
        await lock.invalidate()
