"""Somebody who waits for a lock in PostgreSQL, as PostgreSQL shows it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

WAITS = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE :query"


async def until_waiting(rows: Callable[..., Awaitable[Any]], query: str) -> None:
    """Until somebody waits for a lock with such a statement; the lock's own timeout bounds it."""
    for _ in range(400):
        if await rows(WAITS, query=query):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"nobody waits: {query}")
