"""A disk that is full or takes no writes: nothing is lost or paid twice, health says so, and it goes on by itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.flows.test_nonces import assert_mined_once
from tests.support.pace import patient
from tests.support.small_disk import OnSmallDisk, WithSmallFiles, has_namespaces, on_small_disk, started_on_small_disk
from tests.support.world import Agent, Wallet, World, address, until

MOUNTS = has_namespaces()
only_mounted = pytest.mark.skipif(not MOUNTS, reason="needs the right to mount in a namespace of its own")
SUBMISSIONS = 12
Small = OnSmallDisk | WithSmallFiles


@pytest.fixture(scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Small]:
    async with started_on_small_disk(tmp_path_factory.mktemp("small")) as running:
        yield running
        assert running.process is not None
        assert running.process.poll() is None, running.lines


@pytest.fixture(scope="module")
async def world(small: Small) -> AsyncIterator[World]:
    world = await World.of(small)
    yield world
    await world.close()


def full(small: Small) -> AbstractContextManager[None]:
    return small.full()


def read_only(small: Small) -> AbstractContextManager[None]:
    assert isinstance(small, OnSmallDisk)
    return small.read_only()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        # files that may not grow are no full disk, but the database can do as little with them
        (full, "The disk is full." if MOUNTS else "The database does not answer."),
        pytest.param(
            read_only, "The disk takes no writes: read-only file system.", marks=only_mounted, id="read-only"
        ),
    ],
)
async def test_nothing_is_lost_and_it_goes_on(
    small: Small, world: World, trouble: Callable[[Small], AbstractContextManager[None]], reason: str
) -> None:
    print("a tmpfs in a mount namespace" if MOUNTS else "RLIMIT_FSIZE")
    wallet, agent = await world.wallet(), await world.agent()
    said: dict[str, str] = {}
    dsn = small.owner_dsn
    await pay(agent, wallet, said, range(2))
    assert len(said) == 2
    supervisor = small.pids("supervisor")
    with trouble(small):
        paying = asyncio.create_task(pay(agent, wallet, said, range(2, SUBMISSIONS)))
        # what is being committed at this moment meets a disk that takes nothing
        await asyncio.to_thread(press, dsn)
        await until(lambda: says(small, reason), 60, "health to say so")
        await paying
        # whoever ends now is started again without a disk, and the token survives it
        for name in ("signer", "worker", "api"):
            (pid,) = small.pids(name) or (None,)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        await until(lambda: says(small, reason), 60, "health to say so after restarts")
    await until(small.stays_healthy, 120, "health")
    assert small.pids("supervisor") == supervisor

    async def all_paid() -> bool:
        await pay(agent, wallet, said, range(SUBMISSIONS))
        return len(said) == SUBMISSIONS

    await until(all_paid, 60, "every payment")
    await assert_mined_once(world, wallet.address, list(said.values()))
    with psycopg.connect(small.owner_dsn) as connection:
        rows = connection.execute(
            "SELECT nonce, '0x' || encode(tx_hash, 'hex') FROM transactions WHERE wallet_address = %s ORDER BY nonce",
            (bytes.fromhex(wallet.address.removeprefix("0x")),),
        ).fetchall()
    assert [nonce for nonce, _ in rows] == list(range(SUBMISSIONS))
    assert {tx_hash for _, tx_hash in rows} == set(said.values())


@only_mounted
async def test_a_later_start_on_a_full_disk_waits_for_room(small: Small, world: World) -> None:
    assert isinstance(small, OnSmallDisk)
    wallet, agent = await world.wallet(), await world.agent()
    said: dict[str, str] = {}
    await pay(agent, wallet, said, range(2))
    await small.stop()
    with small.full():
        small.launch()

        async def waits() -> bool:
            return bool(small.lines)

        await until(waits, 60, "a sentence")
    assert small.lines[0] == "waiting: The disk is full.\n"
    await asyncio.to_thread(small.wait_ready)
    assert small.lines.count("waiting: The disk is full.\n") == 1
    await until(small.stays_healthy, 60, "health")
    await pay(agent, wallet, said, range(4))
    assert len(said) == 4
    await world.chain.wait_nonce(wallet.address, 4)
    assert await world.chain.nonce(wallet.address) == 4


@only_mounted
@pytest.mark.parametrize("size", ["1m", "40m"], ids=["not even a cluster fits", "not even the database fits"])
async def test_a_start_on_a_full_disk_says_so_in_a_sentence(tmp_path: Path, size: str) -> None:
    starting = on_small_disk(tmp_path, size)
    starting.launch()
    assert starting.process is not None
    assert await asyncio.to_thread(starting.process.wait, patient(60)) == 1
    (line,) = (line for line in starting.lines if line.startswith("talon stopped: "))
    assert line == starting.lines[-1]
    # the second is PostgreSQL's own way to say so, where half of a page still found room
    assert "No space left on device" in line or "wrote only" in line


async def pay(agent: Agent, wallet: Wallet, said: dict[str, str], numbers: range) -> None:
    """Submit each under a key of its own; what was answered once is answered the same again."""
    for number in numbers:
        key = f"{wallet.address}-{number}"
        try:
            answer = await agent.submit(wallet, TO, "0.1", gas_limit=21_000, idempotency_key=key)
        except httpx.TransportError:
            # its process was killed; the key says whether it was done
            continue
        # 200: it was done before
        assert answer.status_code in (200, 201, 503), answer.text
        if answer.status_code != 503:
            assert said.setdefault(key, answer.json()["tx_hash"]) == answer.json()["tx_hash"]


TO = address()


def press(dsn: str) -> None:
    """Have the database need room at once: the next files of its log."""
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            for _ in range(100):
                connection.execute("SELECT pg_logical_emit_message(true, 'talon', repeat('x', 1000000))")
    except psycopg.Error as error:
        print(type(error).__name__, str(error).splitlines()[0])


async def says(small: Small, reason: str) -> bool:
    async with httpx.AsyncClient(base_url=small.base_url, timeout=30) as http:
        try:
            answer = await http.get("/v1/health")
        except httpx.HTTPError:
            return False
    return answer.status_code == 503 and reason in answer.json().get("reasons", ())
