"""An older copy of the home, put back by hand, is noticed; a crash, a missing copy, another instance's are not."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from signer import epoch_file
from tests.support.instance import UNHURRIED, Running
from tests.support.world import SOAK, World, address, until

# each restarts an instance again and again; `make test` has the main story, and what is between the parts below
pytestmark = [pytest.mark.soak, pytest.mark.skipif(not SOAK, reason="long: nine starts of an instance")]
PASSWORD = "of one and the same human"


async def start_instance(home: Path, environment: dict[str, str] | None = None) -> Running:
    running = Running(home, UNHURRIED | (environment or {}), admin_password=PASSWORD)
    running.launch()
    await asyncio.to_thread(running.wait_ready)
    return running


def copied(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


class Outside:
    """The directory outside the home, and what lies in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {"TALON_EPOCH_DIRECTORY": str(directory)}

    def epoch(self, running: Running) -> int | None:
        instance_id = json.loads(running.layout.instance.read_text())["id"]
        return epoch_file.read(epoch_file.path_of(self.directory, instance_id), instance_id)


async def epoch_of(running: Running) -> int:
    async with await psycopg.AsyncConnection.connect(running.owner_dsn) as connection:
        row = await (await connection.execute("SELECT epoch FROM instance")).fetchone()
        assert row is not None
        return row[0]


async def frozen(running: Running) -> list[tuple[str, str]]:
    async with await psycopg.AsyncConnection.connect(running.owner_dsn) as connection:
        found = await connection.execute("SELECT found_by, why FROM restores WHERE opened_at IS NULL")
        return await found.fetchall()


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    # passable for the signer's uid, as /var/lib is
    tmp_path.chmod(0o711)
    return Outside(tmp_path / "outside")


async def test_a_home_put_back_by_hand_starts_frozen(tmp_path: Path, outside: Outside) -> None:
    home, kept, lost = tmp_path / "home", tmp_path / "kept", tmp_path / "lost"
    running = await start_instance(home, outside.environment)
    world = await World.of(running)
    wallet, agent = await world.wallet(), await world.agent()
    assert await frozen(running) == []
    started_at = await epoch_of(running)
    assert outside.epoch(running) == started_at
    await world.close()
    await running.stop()
    copied(home, kept)

    # it goes up at the start and, behind the first signature, once more: first in the database, then outside
    running = await start_instance(home, outside.environment)
    world = await World.of(running)
    agent.http = world.http
    assert await epoch_of(running) == started_at + 1
    sent = await agent.submit(wallet, address(), "1")
    assert sent.status_code == 201, sent.text

    async def counted_on() -> bool:
        return outside.epoch(running) == started_at + 2

    await until(counted_on, what="the epoch outside, behind a signature")
    assert await epoch_of(running) == started_at + 2
    for _ in range(3):
        assert (await agent.submit(wallet, address(), "1")).status_code == 201
    assert await epoch_of(running) == started_at + 2, "once a minute"
    await world.close()
    # however it ends: the database is never behind its copies
    os.kill(running.pids("supervisor")[0], signal.SIGKILL)
    await asyncio.to_thread(running.process.wait)
    running.process = None
    running = await start_instance(home, outside.environment)
    assert await frozen(running) == []
    assert await epoch_of(running) == started_at + 3
    await running.stop()

    home.rename(lost)
    copied(kept, home)
    running = await start_instance(home, outside.environment)
    ((found_by, why),) = await frozen(running)
    assert found_by == "epoch"
    assert f"at epoch {started_at}, while" in why
    assert f"is at {started_at + 3}." in why
    assert any("frozen: nothing is signed" in line for line in running.lines)
    assert await epoch_of(running) == started_at + 4
    world = await World.of(running)
    agent.http = world.http
    refused = await agent.submit(wallet, address(), "1", idempotency_key="again")
    assert (refused.status_code, refused.json()["type"]) == (503, "restored_copy"), refused.text
    assert why in refused.json()["detail"]
    await world.close()
    await running.stop()
    # started again, it stays so, for the first reason
    running = await start_instance(home, outside.environment)
    assert await frozen(running) == [(found_by, why)]
    await running.stop()


async def test_the_token_alone_tells_and_what_is_missing_or_anothers_says_nothing(
    tmp_path: Path, outside: Outside
) -> None:
    home, kept = tmp_path / "home", tmp_path / "kept"
    running = await start_instance(home)  # without a place outside
    kept.mkdir()
    await running.stop()
    copied(home / "postgres", kept / "postgres")
    copied(home / "token", kept / "token")
    running = await start_instance(home)
    now = await epoch_of(running)
    await running.stop()

    # 1. the database alone is older
    shutil.rmtree(home / "postgres")
    copied(kept / "postgres", home / "postgres")
    running = await start_instance(home)
    ((found_by, why),) = await frozen(running)
    assert found_by == "epoch"
    assert f"while the token is at {now}." in why
    await running.stop()

    # 2. both are older and nothing is outside; and what is outside belongs to another instance, or is damaged
    for part in ("postgres", "token"):
        shutil.rmtree(home / part)
        copied(kept / part, home / part)
    instance_id = json.loads((home / "instance.json").read_text())["id"]
    file = epoch_file.path_of(outside.directory, instance_id)
    file.parent.mkdir(parents=True)
    for text in ("", "nonsense", f"{instance_id} ", f"{instance_id} -9", "7f4f1c0e-0000-4000-8000-000000000000 999"):
        file.write_text(text)
        assert epoch_file.read(file, instance_id) is None
    running = await start_instance(home, outside.environment)
    assert await frozen(running) == []
    assert outside.epoch(running) == await epoch_of(running)
    await running.stop()


async def test_two_on_one_database_do_not_freeze_each_other(tmp_path: Path, outside: Outside) -> None:
    """As two hosts: homes, tokens' copies and files of their own, one database."""
    first = await start_instance(tmp_path / "first", outside.environment)
    urls = {"TALON_DATABASE_URL": first.owner_dsn, "TALON_ANVIL_PORT": "0"}
    second_outside = Outside(tmp_path / "outside 2")
    # the same keys in both
    (tmp_path / "second").mkdir(mode=0o700)
    copied(first.layout.token, tmp_path / "second" / "token")
    for _ in range(2):
        second = await start_instance(tmp_path / "second", urls | second_outside.environment)
        assert await frozen(first) == []
        await second.stop()
    await first.stop()
    first = await start_instance(tmp_path / "first", outside.environment)
    assert await frozen(first) == []
    await first.stop()
