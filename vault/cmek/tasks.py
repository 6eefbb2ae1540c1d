"""Work that goes on after its request was answered, in the process that got the request."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Tasks that are kept until they end, or until the process stops."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something; it deals with its own errors, and with being cancelled."""
        task = asyncio.create_task(work)
        # the loop itself keeps tasks only weakly
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Cancel everything and wait until it has said so."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
