"""The worker process: everything that happens later. One leader at a time, elected by an advisory lock."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from intents import budget, idempotency
from intents.reconcile import reconcile
from talon.app import close_context, make_context
from talon.config import ProcessConfig
from talon.logging import configure
from talon.migrate import verify_revision
from vault.context import Context

log = logging.getLogger(__name__)

TICK_S = 0.5
SWEEP_EVERY_TICKS = 60
# any fixed number: names the right to reconcile among the workers of one database
LEADER_LOCK = 7_214_001


async def run(config: ProcessConfig, stopping: asyncio.Event) -> None:
    """Work until told to stop; a worker that is not the leader waits to become it."""
    await verify_revision(config.database_url)
    context = make_context(config, pool_size=5)
    try:
        while not stopping.is_set():
            try:
                await lead(context, stopping)
            except (SQLAlchemyError, OSError) as error:
                log.warning("database not available: %s", type(error).__name__)
            await pause(stopping, TICK_S)
    finally:
        await close_context(context)


async def lead(context: Context, stopping: asyncio.Event) -> None:
    """Hold the leader's lock on a connection of its own and do the rounds; returns when it is held elsewhere."""
    async with context.database.engine.connect() as lock:
        await lock.execution_options(isolation_level="AUTOCOMMIT")
        if not await acquired(lock):
            return
        try:
            await rounds(context, lock, stopping)
        finally:
            # the lock belongs to the connection: closed for good, not given back to the pool with the lock on it
            await lock.invalidate()


async def rounds(context: Context, lock: AsyncConnection, stopping: asyncio.Event) -> None:
    """One pass every `TICK_S` seconds for as long as we lead."""
    ticks = 0
    while not stopping.is_set():
        # the lock goes with its connection: without it somebody else may be leading already
        await lock.execute(text("SELECT 1"))
        await reconcile(context)
        if ticks % SWEEP_EVERY_TICKS == 0:
            await sweep(context)
        ticks += 1
        await pause(stopping, TICK_S)


async def acquired(lock: AsyncConnection) -> bool:
    """Try to become the leader, without waiting."""
    return bool((await lock.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": LEADER_LOCK})).scalar())


async def sweep(context: Context) -> None:
    """Housekeeping: old idempotency keys, and reservations that have left their window."""
    await idempotency.sweep(context.database)
    async with context.database.begin() as connection:
        agents = await budget.stale(connection)
    for agent_id in agents:
        async with context.database.begin() as connection:
            await budget.lock(connection, agent_id)


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep, but wake at once when told to stop."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="talon.worker")
    parser.add_argument("--config", type=Path, required=True)
    config = ProcessConfig.read(parser.parse_args().config)
    configure(config.log_level)

    async def serve() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stopping.set)
        await run(config, stopping)

    asyncio.run(serve())


if __name__ == "__main__":
    main()
