"""A secret that may be read k times is read k times: by many at once, over several processes, and when one dies.

`make test` runs a short form, `make soak` more rounds and 30 kills of each kind.
"""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from talon.processes import EARLY_KILL_S
from tests.flows.test_crash import alive
from tests.support.instance import Running, start_instance
from tests.support.world import SOAK, World, until

READERS = 64
LIMITS = (1, 7, 63, 64, 100) if SOAK else (1, 7, 64)
ROUNDS = 10 if SOAK else 1
KILLS = 30 if SOAK else 2
VALUE = "one of few readings 5b1f"


@dataclass
class Limited:
    """A secret with a read limit, and where its readers find it."""

    id: str
    url: str
    by_version: str


async def place(world: World, path: str, limit: int) -> Limited:
    url = f"/v1/vaults/{world.vault_id}"
    body = {"value": VALUE, "type": "note", "max_access_count": limit}
    answer = await world.http.put(f"{url}/secrets/{path}", json=body, headers=world.headers)
    assert answer.status_code == 201, answer.text
    return Limited(answer.json()["id"], f"{url}/secrets/{path}", f"{url}/secret-version/{path}/1")


@asynccontextmanager
async def strangers(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose every request goes over a connection of its own, so that all processes get their share."""
    limits = httpx.Limits(max_connections=READERS, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=base_url, timeout=60, limits=limits) as http:
        yield http


async def read(http: httpx.AsyncClient, world: World, url: str) -> httpx.Response | None:
    """One read; None when the connection broke."""
    try:
        return await http.get(url, headers=world.headers)
    except httpx.HTTPError:
        return None


async def counted(database: psycopg.AsyncConnection, secret_id: str) -> tuple[int, int]:
    """Reads charged and audit rows of reads, as of one moment."""
    found = await database.execute(
        "SELECT (SELECT sum(access_count) FROM secret_versions WHERE secret_id = %(id)s::uuid),"
        " (SELECT count(*) FROM audit_events WHERE action = 'secret.read' AND resource_id = %(id)s::text)",
        {"id": secret_id},
    )
    row = await found.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def ticks(pid: int) -> int:
    """The CPU time that a process has spent in its own code (proc(5), `utime`)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


@pytest.mark.parametrize("limit", LIMITS)
async def test_many_readers_at_once_get_exactly_as_many_values(
    instance: Running, world: World, database: psycopg.AsyncConnection, limit: int
) -> None:
    before = {pid: ticks(pid) for pid in instance.pids("api")}
    assert len(before) == 2
    for number in range(ROUNDS):
        secret = await place(world, f"limited/{limit}/{number}", limit)
        # half of them by the newest version, half by its number: one limit for both
        urls = [secret.by_version if reader % 2 else secret.url for reader in range(READERS)]
        async with strangers(instance.base_url) as http:
            answers = await asyncio.gather(*(read(http, world, url) for url in urls))
        statuses = [None if answer is None else answer.status_code for answer in answers]
        values = min(limit, READERS)
        assert sorted(statuses, key=str) == [200] * values + [410] * (READERS - values)
        assert {answer.json()["value"] for answer in answers if answer and answer.status_code == 200} == {VALUE}
        assert await counted(database, secret.id) == (values, values)
    assert all(ticks(pid) > spent for pid, spent in before.items()), "one process answered them all"


@pytest.fixture(scope="module")
async def crashing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """An instance of its own: the others must not notice the kills."""
    running = await start_instance(
        tmp_path_factory.mktemp("limits"), {"TALON_WORKERS": "2", "TALON_SIGNERS": "2", "TALON_ANVIL_PORT": "0"}
    )
    try:
        yield running
    finally:
        await running.stop()


@pytest.fixture(scope="module")
async def victim(crashing: Running) -> AsyncIterator[World]:
    world = await World.of(crashing)
    yield world
    await world.close()


@pytest.fixture(scope="module")
async def behind(crashing: Running) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(crashing.owner_dsn, autocommit=True) as connection:
        yield connection


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("process", ["api", "signer"])
async def test_no_value_without_its_row_when_a_process_is_killed(
    crashing: Running, victim: World, behind: psycopg.AsyncConnection, process: str
) -> None:
    rng = random.Random(23)
    lost = 0
    for number in range(KILLS):
        # a child that is killed again and again in its first second is taken for one that cannot run
        await asyncio.sleep(EARLY_KILL_S)
        secret = await insist_on_placing(victim, f"{process}/{number}", limit := rng.choice([5, 32, 60]))
        pids = await alive(crashing, process)
        async with strangers(crashing.base_url) as http:
            load = [asyncio.create_task(read(http, victim, secret.url)) for _ in range(READERS)]
            # in the midst of it, early or late
            await some_done(load, rng.randrange(0, READERS // 2))
            os.kill(rng.choice(pids), signal.SIGKILL)
            answers = await asyncio.gather(*load)
            values = [answer for answer in answers if answer is not None and answer.status_code == 200]
            lost += sum(answer is None for answer in answers)
            assert {answer.json()["value"] for answer in values} <= {VALUE}
            assert {answer.status_code for answer in answers if answer is not None} <= {200, 410, 503}
            charged, rows = await counted(behind, secret.id)
            # a value that was charged may have died with its process; none came that was not
            assert len(values) <= charged == rows <= limit
            # what is left can still be had, and not one more
            rest = [await insist_on_reading(http, victim, secret) for _ in range(limit - charged + 1)]
            assert rest[-1] == 410
            assert await counted(behind, secret.id) == (limit, limit)
    assert lost > 0 or process == "signer", "no reader was cut off: the kills came too late to test anything"


async def some_done(load: list[asyncio.Task], count: int) -> None:
    """Wait until that many have their answer."""
    while sum(task.done() for task in load) < count:
        await asyncio.wait([task for task in load if not task.done()], return_when=asyncio.FIRST_COMPLETED)


async def insist_on_placing(victim: World, path: str, limit: int) -> Limited:
    """Store it at a path of its own, again while a process is on its way up."""

    async def ask() -> Limited | None:
        try:
            return await place(victim, f"{path}/{uuid4().hex}", limit)
        except (httpx.HTTPError, AssertionError):
            return None

    return await until(ask, 30, "the secret stored")


async def insist_on_reading(http: httpx.AsyncClient, victim: World, secret: Limited) -> int:
    """The status of one read, asked again while a process is on its way up and has not answered."""

    async def ask() -> int | None:
        answer = await read(http, victim, secret.url)
        return None if answer is None or answer.status_code == 503 else answer.status_code

    return await until(ask, 30, "an answer")
