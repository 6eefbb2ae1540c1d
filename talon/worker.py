"""The worker process: everything that happens later. One leader at a time, elected by an advisory lock."""

import argparse
import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from intents import budget, chains_followed, genesis, idempotency
from intents.outside import watch as outside
from intents.restored import listing
from signer.errors import SignerError
from signer.lifeline import Lifeline
from talon.app import close_context, make_context
from talon.config import ProcessConfig
from talon.last_words import last_words
from talon.logging import configure
from talon.migrate import verify_revision
from vault.audit import sequence
from vault.audit.heads import sign_heads
from vault.audit.sequence import seal_pending
from vault.auth import send_mails
from vault.auth.purge import purge as purge_people
from vault.clock import keep
from vault.context import Context
from vault.health.heartbeat import LEADER_LOCK
from vault.kek import rewrap
from vault.limits.purge import purge
from vault.metrics.counts import share
from vault.problems import log_unexpected

log = logging.getLogger(__name__)

# how soon a worker that does not lead tries again, and how often the leader looks whether it still does, and for whom
# there is something to do
TICK_S = 0.5
# a job for which there seems to be nothing is done all the same so often
NET_S = 30.0
# how long a stop may wait for what is done once more at the end
LAST_S = 4.0


@dataclass(frozen=True)
class Job:
    """Something done again and again, `every_s` seconds after it was done last; no job waits for another."""

    name: str
    every_s: float
    do: Callable[[Context], Awaitable[object]]
    # whether there is anything to do, in SQL; None: nobody can say but the job itself
    is_due: str | None = None
    # once more when the worker stops
    at_the_end: bool = False
    # ends what it began on the side
    close: Callable[[], Awaitable[None]] | None = None


async def sweep(context: Context) -> None:
    """Housekeeping: old idempotency keys, rate counters and logins, and reservations that have left their window."""
    await idempotency.sweep(context.database)
    await purge(context.database)
    await purge_people(context.database)
    async with context.database.begin() as connection:
        stale, ahead = await budget.stale(connection), await budget.stamped_ahead(connection)
    for mend, agents in ((budget.lock, stale), (budget.restamp, ahead)):
        for agent_id in agents:
            async with context.database.begin() as connection:
                await mend(connection, agent_id)


async def seal(context: Context) -> None:
    """Give every new audit event its place in the chain."""
    await seal_pending(context.database)


async def sign(context: Context) -> None:
    """Have the HSM sign where the audit chains stand."""
    await seal_pending(context.database)
    await sign_heads(context.database, context.signer)


def jobs(config: ProcessConfig) -> tuple[Job, ...]:
    """All that the leader does."""
    chains, watch = chains_followed.ChainsFollowed(), outside.Watch()
    return (
        Job("outside use", 5, watch.tick, outside.IS_DUE, close=watch.close),
        Job("restored", 3, listing.list_restored, listing.IS_DUE),
        Job("reconcile", 0.5, chains.tick, chains_followed.IS_DUE, close=chains.close),
        Job("clock", keep.EVERY_S, keep.Keeper().look),
        Job("first sight", 5, genesis.first_sight, genesis.IS_DUE),
        *_local_chain(config),
        *_mail(config),
        Job("rewrap", 0.5, rewrap.rewrap, rewrap.IS_DUE),
        Job("seal", 1, seal, sequence.IS_DUE),
        Job("heads", config.audit_head_seconds, sign, at_the_end=True),
        Job("sweep", 30, sweep),
    )


def _local_chain(config: ProcessConfig) -> tuple[Job, ...]:
    return (Job("local chain", 1, genesis.watch_local),) if config.owns_local_chain else ()


def _mail(config: ProcessConfig) -> tuple[Job, ...]:
    """Nobody sends anything where there is no server to send it to."""
    if config.smtp_url is None:
        return ()
    send = partial(send_mails.send_mails, server=config.smtp_url, sender=config.mail_from)
    return (Job("mail", 1, send, send_mails.IS_DUE),)


async def run(config: ProcessConfig, stopping: asyncio.Event, lifeline: Lifeline) -> None:
    """Work until told to stop; a worker that is not the leader waits to become it."""
    await verify_revision(config.database_url)
    context = make_context(config, pool_size=8)
    beating = asyncio.create_task(lifeline.keep_beating())
    try:
        while not stopping.is_set():
            try:
                await lead(context, jobs(config), stopping)
            except* (SQLAlchemyError, OSError) as errors:
                log.warning("database not available: %s", type(errors.exceptions[0]).__name__)
            await pause(stopping, TICK_S)
    finally:
        beating.cancel()
        await close_context(context)


async def lead(context: Context, work: Sequence[Job], stopping: asyncio.Event) -> None:
    """Hold the leader's lock on a connection of its own and do the rounds; returns when it is held elsewhere."""
    async with context.database.engine.connect() as lock:
        await lock.execution_options(isolation_level="AUTOCOMMIT")
        if not await acquired(lock):
            return
        try:
            await rounds(context, work, lock, stopping)
        finally:
            # the lock belongs to the connection: closed for good, not given back to the pool with the lock on it
            await lock.invalidate()


async def rounds(context: Context, work: Sequence[Job], lock: AsyncConnection, stopping: asyncio.Event) -> None:
    """Do every job again and again for as long as we lead; they end together, at the latest with the lock."""
    due = [(asyncio.Event(), job) for job in work]
    question = text("SELECT " + ", ".join(job.is_due or "true" for job in work))
    async with asyncio.TaskGroup() as group:
        for is_due, job in due:
            group.create_task(repeat(job, context, stopping, is_due))
        while not stopping.is_set():
            # The lock goes with its connection: without it somebody else may be leading already; and by this question
            # /v1/health sees that we live. One question for all jobs: each asking for itself cost ten times as much.
            answers = (await lock.execute(question)).one()
            for (is_due, _), answer in zip(due, answers, strict=True):
                if answer:
                    is_due.set()
            await pause(stopping, TICK_S)


async def repeat(job: Job, context: Context, stopping: asyncio.Event, is_due: asyncio.Event) -> None:
    """One job until told to stop. What goes wrong in it is logged and tried again, and stops nothing else."""
    try:
        while not stopping.is_set():
            # before it looks: what comes meanwhile makes it due again
            is_due.clear()
            await attempt(job, context)
            await pause(stopping, job.every_s)
            await either(stopping, is_due, NET_S)
    finally:
        if job.close is not None:
            await job.close()
    if job.at_the_end:
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_S):
                await attempt(job, context)


async def attempt(job: Job, context: Context) -> None:
    """One job, once; what goes wrong is logged."""
    try:
        await job.do(context)
    except (SQLAlchemyError, OSError, SignerError) as error:
        log.warning("%s did not get through: %s", job.name, type(error).__name__)
    except Exception as error:  # noqa: BLE001 - one odd row must not end the jobs that follow money
        log_unexpected(error, f"worker:{job.name}")


async def acquired(lock: AsyncConnection) -> bool:
    """Try to become the leader, without waiting."""
    return bool((await lock.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": LEADER_LOCK})).scalar())


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep, but wake at once when told to stop."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


async def either(one: asyncio.Event, other: asyncio.Event, seconds: float) -> None:
    """Wait for one of two events, so many seconds at most."""
    if one.is_set() or other.is_set():
        return
    waits = [asyncio.ensure_future(each.wait()) for each in (one, other)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="talon.worker")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--lifeline", type=int)
    arguments = parser.parse_args()
    config, lifeline = ProcessConfig.read(arguments.config), Lifeline(arguments.lifeline)
    configure(config.log_level)
    if config.metrics_directory is not None:
        share(Path(config.metrics_directory), "worker")

    async def serve() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stopping.set)
        await run(config, stopping, lifeline)

    with last_words(lifeline):
        asyncio.run(serve())


if __name__ == "__main__":
    main()
