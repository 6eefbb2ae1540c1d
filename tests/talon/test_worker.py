import asyncio
from typing import Any

from talon.worker import Job, repeat


async def test_a_job_is_done_again_and_again_and_once_more_at_the_end_if_it_says_so() -> None:
    done: list[str] = []
    often = asyncio.Event()

    async def note(context: Any) -> None:
        done.append(context)
        if len(done) == 3:
            often.set()
        if len(done) == 1:
            raise RuntimeError("a fault stops nothing")

    stopping = asyncio.Event()
    context: Any = "before"
    running = asyncio.create_task(repeat(Job("test", 0.01, note), context, stopping))
    await asyncio.wait_for(often.wait(), 10)
    stopping.set()
    await running
    context = "after"
    await repeat(Job("test", 60, note), context, stopping)
    assert "after" not in done
    await repeat(Job("test", 60, note, at_the_end=True), context, stopping)
    assert done.count("after") == 1
