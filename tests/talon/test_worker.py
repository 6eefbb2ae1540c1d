import asyncio
from typing import Any

from talon import worker
from talon.worker import Job, repeat


async def once(job: Job, context: Any) -> None:
    await repeat(job, context, stopped(), asyncio.Event())


def stopped() -> asyncio.Event:
    stopping = asyncio.Event()
    stopping.set()
    return stopping


async def test_a_job_is_once_and_once_more_at_the_end_if_it_says_so() -> None:
    done: list[str] = []
    often = asyncio.Event()

    async def note(context: Any) -> None:
        done.append(context)
        is_due.set()
        if len(done) == 3:
            often.set()
        if len(done) == 1:
            raise RuntimeError("a fault stops nothing")

    stopping, is_due = asyncio.Event(), asyncio.Event()
    context: Any = "before"
    running = asyncio.create_task(repeat(Job("test", 0.01, note), context, stopping, is_due))
    await asyncio.wait_for(often.wait(), 10)
    stopping.set()
    await running
    context = "after"
    await once(Job("test", 60, note), context)
    assert "after" not in done
    await once(Job("test", 60, note, at_the_end=True), context)
    assert done.count("after") == 1


async def test_a_job_that_has_nothing_to_do_is_left_alone_until_it_has(monkeypatch: Any) -> None:
    """But not for ever: what says that there is nothing may be mistaken."""
    done = asyncio.Semaphore(0)

    async def note(_context: Any) -> None:
        done.release()

    async def is_done() -> bool:
        try:
            return await asyncio.wait_for(done.acquire(), 0.3)
        except TimeoutError:
            return False

    stopping, is_due = asyncio.Event(), asyncio.Event()
    context: Any = None
    running = asyncio.create_task(repeat(Job("test", 0.001, note, "false"), context, stopping, is_due))
    assert await is_done()
    assert not await is_done()
    is_due.set()
    await asyncio.wait_for(done.acquire(), 10)
    monkeypatch.setattr(worker, "NET_S", 0.01)
    is_due.set()
    for _ in range(3):
        await asyncio.wait_for(done.acquire(), 10)
    stopping.set()
    await running
