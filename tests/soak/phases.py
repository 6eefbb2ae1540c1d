"""One busy and one idle phase of a running instance, seen by whoever wants to judge something by them."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg

from talon import usage
from tests.support.instance import Running
from tests.support.slope import rise
from tests.support.world import SOAK, Agent, Wallet, World, address

ENDURE = os.environ.get("TALON_ENDURE") == "1"
# seconds of each phase: an hour, ten minutes, or just long enough to see what is far off
PHASE_S = 3_600.0 if ENDURE else 600.0 if SOAK else 8.0
SAMPLES = 120 if ENDURE or SOAK else 12
# requests a second in the busy one
PACE_S = 0.25
# what starting leaves to do
SETTLE_S = 10.0


@dataclass
class Phase:
    """What was seen: by name of what was measured, pairs of seconds and a value in bytes."""

    name: str
    seconds: float = 0.0
    cpu_s: float = 0.0
    transactions: int = 0
    requests: int = 0
    seen: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def rise(self, name: str) -> float:
        """By how much it went up, by its slope."""
        return rise(self.seen[name])

    def highest(self, name: str) -> float:
        """The most that was seen."""
        return max(value for _, value in self.seen[name])


@dataclass
class Observed:
    """Both phases, and which of the worker's jobs had something to do at the end of the idle one."""

    idle: Phase
    busy: Phase
    due: list[str]


def look(running: Running, supervisor: int, phase: Phase) -> None:
    """One sample of everything."""
    kinds = {pid: kind for kind in running.process_names() for pid in running.pids(kind)}
    found: dict[str, float] = {}
    # the chain's keeper has anvil below it; everybody else is PostgreSQL
    below = {each.pid for pid in running.pids("anvil") for each in usage.processes(pid)}
    for each in usage.processes(supervisor):
        kind = kinds.get(each.pid, "anvil" if each.pid in below else "postgres")
        found[f"memory {kind}"] = found.get(f"memory {kind}", 0) + usage.memory(each.pid)
    # PostgreSQL lays out whole segments of its write-ahead log ahead of need: steps, which are bounded and no slope
    found["wal"] = usage.size(running.layout.postgres / "data" / "pg_wal")
    found["home"] = usage.size(running.home) - found["wal"]
    found["logs"] = logs(running.home)
    at = time.monotonic()
    for name, value in found.items():
        phase.seen.setdefault(name, []).append((at, value))


def logs(home: Path) -> int:
    """Bytes of all log files."""
    return sum(path.stat().st_size for path in home.rglob("*.log*"))


async def watched(running: Running, name: str, do: Callable[[Phase], Awaitable[None]] | None = None) -> Phase:
    """Look at the instance for a phase, beside whatever is done."""
    phase = Phase(name)
    (supervisor,) = running.pids("supervisor")
    before, began = usage.cpu_s(supervisor), time.monotonic()
    doing = asyncio.create_task(do(phase)) if do is not None else None
    try:
        for number in range(1, SAMPLES + 1):
            await asyncio.sleep(max(0.0, began + number * PHASE_S / SAMPLES - time.monotonic()))
            look(running, supervisor, phase)
            if doing is not None and doing.done():
                await doing
    finally:
        phase.seconds, phase.cpu_s = time.monotonic() - began, usage.cpu_s(supervisor) - before
        if doing is not None:
            doing.cancel()
            with suppress(asyncio.CancelledError):
                await doing
    return phase


async def work(world: World, agent: Agent, wallet: Wallet, phase: Phase) -> None:
    """What people and agents do all day, one request after the other, until cancelled."""
    secret = f"/v1/vaults/{world.vault_id}/secrets/busy/{uuid4().hex}"
    while True:
        began = time.monotonic()
        sent = await agent.submit(wallet, address() if phase.transactions % 10 == 0 else wallet.address, "0.0001")
        assert sent.status_code == 201, sent.text
        phase.transactions += 1
        read = await agent.http.get(f"{agent.url}/{sent.json()['id']}?include=receipt", headers=agent.headers)
        put = await world.http.put(secret, json={"type": "password", "value": uuid4().hex}, headers=world.headers)
        seen = await world.http.get(secret, headers=world.headers)
        assert [read.status_code, put.status_code // 100, seen.status_code] == [200, 2, 200]
        phase.requests += 4
        await asyncio.sleep(max(0.0, began + 4 * PACE_S - time.monotonic()))


async def jobs_due(running: Running) -> list[str]:
    """The worker's jobs that say by themselves that there is something to do."""
    from talon.config import ProcessConfig
    from talon.worker import jobs

    config = ProcessConfig.read(running.layout.config("worker"))
    due = []
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as connection:
        for job in jobs(config):
            if job.is_due is not None:
                row = await (await connection.execute(f"SELECT {job.is_due}".encode())).fetchone()
                due += [job.name] if row and row[0] else []
    return due
