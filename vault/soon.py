"""Wait for something, but not for long: not even for its cancelling, which a hanging server can draw out."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def soon(awaitable: Awaitable[T], patience_s: float) -> T:
    """The answer, if it comes within `patience_s` seconds; TimeoutError at that moment."""
    task = asyncio.ensure_future(awaitable)
    try:
        done, _ = await asyncio.wait({task}, timeout=patience_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        return task.result()
    # what becomes of it interests nobody any more
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    task.cancel()
    raise TimeoutError
