"""A whole running Talon for tests: the product's own start, on a temporary home and free ports."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from talon.instance import Instance
from vault.health.service import MAX_AGE_S

# all stories together come from one address
UNHURRIED = {f"TALON_RATE_LIMIT_{name}": "100000/second" for name in ("AUTH", "IP", "LOGIN")}


class Running(Instance):
    """An instance as asynchronous tests use it."""

    async def stop(self) -> None:  # type: ignore[override]  # awaited here
        await asyncio.to_thread(self._shut_down)

    async def healthy(self) -> bool:
        """Whether the API answers and finds everything well."""
        async with httpx.AsyncClient(base_url=self.base_url, timeout=5) as http:
            try:
                answer = await http.get("/v1/health")
            except httpx.HTTPError:
                return False
        return answer.status_code == 200 and answer.json()["status"] == "healthy"

    async def stays_healthy(self) -> bool:
        """Whether it is healthy for longer than an answer may be old: a part that just went away may not show yet."""
        until = time.monotonic() + 2 * MAX_AGE_S
        while time.monotonic() < until:
            if not await self.healthy():
                return False
            await asyncio.sleep(0.1)
        return True


async def start_instance(home: Path, environment: Mapping[str, str] | None = None) -> Running:
    """Start on `home`, with further TALON_* variables; the event loop goes on meanwhile."""
    running = Running(home, UNHURRIED | dict(environment or {}))
    # it dies with the thread that starts it, so it is this one; the waiting may be anybody's
    running.launch()
    await asyncio.to_thread(running.wait_ready)
    return running
