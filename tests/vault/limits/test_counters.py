"""The counters in every storage: exact under a race, shared between processes, alive when the storage is not."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

import vault.limits.counters as module
import vault.limits.models  # noqa: F401 - the table
from tests.support.pace import patient
from tests.support.postgres import Postgres, open_database, running_postgres
from tests.support.redis import Redis, running_redis
from vault.db import Database, metadata
from vault.limits.counters import Counters, open_counters
from vault.limits.purge import purge


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with running_redis() as server:
        yield server


@pytest.fixture(params=["memory", "postgres", "redis"])
async def shared(
    request: pytest.FixtureRequest, database: Database, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Counters]:
    # a busy machine is no dead storage
    monkeypatch.setattr(module, "PATIENCE_S", 5)
    opened = counters(database, redis.url if request.param == "redis" else None, request.param)
    yield opened
    await opened.close()
    assert not opened.degraded


def counters(database: Database, redis_url: str | None, kind: str = "postgres", **overrides: str) -> Counters:
    limits = {"auth": "5/day", "ip": "20/second"} | overrides
    return open_counters(database, overrides=limits, redis_url=redis_url, processes=1 if kind == "memory" else 2)


def fresh() -> str:
    return f"client {time.monotonic_ns()}"


async def allowed(limits: Counters, name: str, tries: int, who: str) -> int:
    answers = await asyncio.gather(*(limits.hit(name, who) for _ in range(tries)))
    return sum(answer is None for answer in answers)


async def test_exactly_as_many_pass_as_the_limit_says(shared: Counters) -> None:
    who = fresh()
    assert await allowed(shared, "auth", 20, who) == 5
    assert await allowed(shared, "auth", 1, fresh()) == 1


async def test_a_refusal_says_when_to_come_back(shared: Counters) -> None:
    who = fresh()
    waits = [await shared.hit("ip", who) for _ in range(100)]
    assert waits[0] is None
    assert {1} <= {*waits} <= {None, 1, 2}
    await asyncio.sleep(2)
    assert await shared.hit("ip", who) is None


async def test_one_mail_in_ten_minutes_holds_over_the_edges_of_windows(shared: Counters) -> None:
    who = fresh()
    assert await shared.hit("enroll", who) is None
    wait_s = await shared.hit("enroll", who)
    assert wait_s is not None
    assert 595 <= wait_s <= 601


async def test_a_limit_can_be_switched_off(database: Database) -> None:
    limits = counters(database, None, auth="off")
    assert await allowed(limits, "auth", 50, fresh()) == 50
    await limits.close()


async def test_all_parts_of_a_limit_hold(database: Database) -> None:
    limits = counters(database, None, "memory", auth="100/second; 3/hour")
    assert await allowed(limits, "auth", 10, fresh()) == 3
    await limits.close()


CHILD = """
import asyncio, json, sys
import vault.limits.counters as module
from vault.db import Database
from vault.limits.counters import open_counters

module.PATIENCE_S = 5

async def main(url, who):
    database = Database(url)
    limits = open_counters(database, overrides={"auth": "20/hour"}, redis_url=None, processes=2)
    passed = 0
    for _ in range(30):
        passed += await limits.hit("auth", who) is None
    print(json.dumps([passed, limits.degraded]))
    await limits.close()
    await database.close()

asyncio.run(main(*sys.argv[1:]))
"""


def test_two_processes_share_one_budget(database: Database) -> None:
    arguments = [database.engine.url.render_as_string(hide_password=False), fresh()]
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [json.loads(child.communicate(timeout=patient(60))[0]) for child in children]
    assert [degraded for _, degraded in said] == [False, False]
    assert sum(passed for passed, _ in said) == 20


async def test_a_redis_that_hangs_and_dies_is_neither_an_outage_nor_an_open_door(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.5)
    monkeypatch.setattr(module, "PATIENCE_S", patient(module.PATIENCE_S))
    with running_redis() as server, capture_logs() as lines:
        limits, who = counters(database, server.url, auth="5/hour"), fresh()
        assert await allowed(limits, "auth", 8, who) == 5
        server.freeze()
        began = time.monotonic()
        # counted anew, in memory: the limit holds, a little more than once
        assert await allowed(limits, "auth", 8, who) == 5
        assert time.monotonic() - began < patient(2)
        assert limits.degraded
        server.kill()
        assert await allowed(limits, "auth", 20, who) == 0
        await asyncio.sleep(0.6)
        assert await allowed(limits, "auth", 20, who) == 0
        server.start()
        await asyncio.sleep(0.6)
        assert await limits.hit("auth", who) is None
        assert not limits.degraded
        await limits.close()
    assert [line["log_level"] for line in lines] == ["warning", "info"]


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


async def test_a_database_that_is_gone_neither(own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.5)
    monkeypatch.setattr(module, "PATIENCE_S", patient(module.PATIENCE_S))
    async with open_database(own_postgres.create("limits"), metadata) as database:
        limits, who = counters(database, None, auth="5/hour"), fresh()
        assert await allowed(limits, "auth", 4, who) == 4
        async with database.begin() as connection:
            # somebody holds the very row: nobody waits for him
            await connection.execute(text("SELECT * FROM rate_counters FOR UPDATE"))
            began = time.monotonic()
            assert await allowed(limits, "auth", 8, who) == 5
            assert time.monotonic() - began < patient(1)
        own_postgres.stop()
        await asyncio.sleep(0.6)
        assert await allowed(limits, "auth", 8, who) == 0
        own_postgres.start()
        await asyncio.sleep(0.6)
        await limits.hit("auth", fresh())
        assert not limits.degraded
        await limits.close()


async def test_old_counters_are_purged_and_live_ones_are_not(database: Database) -> None:
    limits = counters(database, None)
    assert await limits.hit("auth", fresh()) is None
    async with database.begin() as connection:
        await connection.execute(
            text("""
                INSERT INTO rate_counters SELECT 'old/' || n, 1, now() - interval '1 minute'
                FROM generate_series(1, 2500) n
            """)
        )
    assert await purge(database) >= 2500
    async with database.begin() as connection:
        left = (await connection.execute(text("SELECT count(*) FROM rate_counters WHERE key LIKE 'old/%'"))).scalar()
        assert left == 0
        assert (await connection.execute(text("SELECT count(*) FROM rate_counters"))).scalar_one() > 0
    await limits.close()
