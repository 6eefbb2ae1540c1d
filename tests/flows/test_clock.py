"""The database's clock is stepped under a running instance: no spend is freed by it, nothing is paid twice.

How it is stepped: `tests/support/stepped_clock.py`. CLOCK_BOOTTIME and the chains are the real ones.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from anvil import chain as anvil
from anvil.rpc import call
from intents import idempotency
from talon.bootstrap import ROOT
from tests.support.instance import Running, start_instance
from tests.support.ports import free_port
from tests.support.stepped_clock import SteppedClock, stepped_clock
from tests.support.world import ETHER, SOAK, Agent, Wallet, World, address, until
from vault.db import Database

DAY = 86_400.0
EXTERNAL = 11155111
AHEAD, START = "ahead of the time that passed", "ahead of the newest block of every external chain"


@pytest.fixture(scope="module")
def clock() -> Iterator[SteppedClock]:
    with stepped_clock() as clock:
        yield clock


@asynccontextmanager
async def started(home: Path, clock: SteppedClock, **environment: str) -> AsyncIterator[Running]:
    running = await start_instance(home, {"TALON_DATABASE_URL": clock.url, "TALON_WORKERS": "1"} | environment)
    try:
        yield running
    finally:
        await running.stop()


@pytest.fixture(scope="module")
async def running(clock: SteppedClock, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """An instance with the local chain alone."""
    async with started(tmp_path_factory.mktemp("clock"), clock) as running:
        yield running


@pytest.fixture
async def world(running: Running, clock: SteppedClock) -> AsyncIterator[World]:
    world = await World.of(running)
    yield world
    await world.close()
    clock.step(0)
    await believed(running)


async def notes(running: Running) -> str:
    async with httpx.AsyncClient(base_url=running.base_url, timeout=30) as http:
        return " ".join((await http.get("/v1/health")).json().get("notes", []))


async def doubted(running: Running, why: str) -> None:
    async def ask() -> bool:
        return why in await notes(running)

    await until(ask, 60, f"a note on health that says {why!r}")


async def believed(running: Running) -> None:
    async def ask() -> bool:
        return "clock" not in await notes(running)

    await until(ask, 60, "the end of the doubt")


async def looked_at(clock: SteppedClock) -> None:
    """Two more looks: of the first, one does not know whether it had begun before."""

    async def looks() -> int:
        return int(str(clock.do("SELECT revision FROM clock")[0][0]))

    before = await looks()

    async def ask() -> bool:
        return await looks() >= before + 2

    await until(ask, 60, "two looks at the clock")


async def swept(clock: SteppedClock) -> None:
    """What the worker does every half a minute."""
    database = Database(clock.url.replace("postgresql", "postgresql+psycopg"))
    await idempotency.sweep(database)
    await database.close()


async def refused(agent: Agent, wallet: Wallet, value: str = "0.2") -> None:
    answer = await agent.submit(wallet, address(), value)
    assert answer.status_code == 403, answer.text
    assert "limit" in answer.text


def accept(running: Running) -> str:
    command = [sys.executable, "-m", "talon.cli", "admin", "accept-clock"]
    environment = {**os.environ, **running.environment, "TALON_HOME": str(running.home)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def said(running: Running, sentence: str) -> int:
    """How many lines the worker's log has of it."""
    return sum(sentence in line for line in (running.home / "logs" / "worker.log").read_text().splitlines())


async def test_a_step_forward_and_back_while_in_flight(running: Running, world: World, clock: SteppedClock) -> None:
    wallet, to, key = await world.wallet(), address(), str(uuid4())
    agent = await world.agent(tx_daily_limit_eth="1")
    lines = said(running, "the clock is in doubt")
    sent = await agent.submit(wallet, to, "0.9", idempotency_key=key)
    assert sent.status_code == 201, sent.text

    clock.step(DAY + 3600)
    # before anybody noticed
    await refused(agent, wallet)
    await doubted(running, AHEAD)
    await refused(agent, wallet)
    await agent.mined(sent.json()["id"])
    await refused(agent, wallet)
    await swept(clock)
    again = await agent.submit(wallet, to, "0.9", idempotency_key=key)
    assert (again.status_code, again.json()["tx_hash"]) == (200, sent.json()["tx_hash"]), again.text

    clock.step(0)
    await believed(running)
    await refused(agent, wallet)
    within = await agent.submit(wallet, address(), "0.1")
    assert within.status_code == 201, within.text
    await world.chain.receipt(within.json()["tx_hash"])
    assert await world.chain.nonce(wallet.address) == 2
    assert await world.chain.balance(to) == 9 * ETHER // 10
    assert said(running, "the clock is in doubt") == lines + 1


async def test_what_was_spent_while_the_clock_was_behind_is_not_over_when_it_is_right_again(
    running: Running, world: World, clock: SteppedClock
) -> None:
    wallet, key = await world.wallet(), str(uuid4())
    agent = await world.agent(tx_daily_limit_eth="1")
    clock.step(-DAY - 3600)
    await doubted(running, "behind the time that passed")
    sent = await agent.submit(wallet, address(), "0.9", idempotency_key=key)
    assert sent.status_code == 201, sent.text
    await agent.mined(sent.json()["id"])
    clock.step(0)
    await believed(running)
    await refused(agent, wallet)
    await swept(clock)
    again = await agent.submit(wallet, sent.json()["to"], "0.9", idempotency_key=key)
    assert (again.status_code, again.json()["tx_hash"]) == (200, sent.json()["tx_hash"]), again.text


async def test_no_step_of_the_worker_s_absence_counts_and_a_human_ends_the_doubt(
    running: Running, world: World, clock: SteppedClock
) -> None:
    wallet = await world.wallet()
    agent = await world.agent(tx_daily_limit_eth="1")
    sent = await agent.submit(wallet, address(), "0.9")
    assert sent.status_code == 201, sent.text
    await agent.mined(sent.json()["id"])

    clock.step(DAY + 3600)
    os.kill(running.pids("worker")[0], signal.SIGKILL)
    await refused(agent, wallet)
    # the next one believes what the first knew
    await doubted(running, AHEAD)
    await refused(agent, wallet)

    assert "was in doubt" in accept(running)
    await believed(running)
    freed = await agent.submit(wallet, address(), "0.9")
    assert freed.status_code == 201, freed.text
    events = await world.http.get("/v1/audit/events", params={"action": "clock.accept"}, headers=world.headers)
    assert AHEAD in events.json()["events"][0]["details"]["doubt"]
    # from here on the stepped clock is the right one, and the true one is behind
    assert "was not in doubt" in accept(running)
    clock.step(0)
    await doubted(running, "behind the time that passed")
    accept(running)


async def test_a_crashed_request_s_key_is_not_held_by_a_clock_that_went_back(
    running: Running, world: World, clock: SteppedClock
) -> None:
    wallet, to, key = await world.wallet(), address(), str(uuid4())
    agent = await world.agent()
    first = await agent.submit(wallet, to, "0.1", idempotency_key=key)
    assert first.status_code == 201, first.text
    # as it is left by a process that died before it signed, when the clock was a day ahead
    clock.do(
        "UPDATE idempotency_keys SET transaction_id = NULL, lease_until = clock_timestamp() + interval '1 day'"
        " WHERE agent_id = %s",
        UUID(agent.id),
    )
    again = await agent.submit(wallet, to, "0.1", idempotency_key=key)
    assert again.status_code == 201, again.text


async def test_what_is_in_flight_is_sent_again_by_a_clock_that_went_back(
    running: Running, world: World, clock: SteppedClock
) -> None:
    wallet, to = await world.wallet(), address()
    agent = await world.agent()
    await world.chain.rpc("evm_setIntervalMining", 0)
    clock.step(DAY)
    sent = await agent.submit(wallet, to, "0.1")
    assert sent.status_code == 201, sent.text
    await world.chain.rpc("anvil_dropAllTransactions")
    clock.step(0)
    await world.chain.rpc("evm_setIntervalMining", 1)
    await world.chain.receipt(sent.json()["tx_hash"])
    assert await world.chain.balance(to) == ETHER // 10


async def test_what_has_expired_does_not_live_again(world: World, clock: SteppedClock) -> None:
    agent = await world.agent(expires_at=(datetime.now(UTC) + timedelta(seconds=5)).isoformat())

    async def status() -> int:
        return (await world.http.get(agent.url, headers=agent.headers)).status_code

    assert await status() == 200

    async def is_over() -> bool:
        return await status() == 401

    await until(is_over, 60, "the agent's end")
    clock.step(-3600)
    await looked_at(clock)
    assert await is_over()


@pytest.mark.soak
async def test_restarted_while_the_clock_is_ahead_and_something_is_in_flight(
    running: Running, world: World, clock: SteppedClock
) -> None:
    wallet, to, key = await world.wallet(), address(), str(uuid4())
    agent = await world.agent(tx_daily_limit_eth="1")
    mined, its_key = await world.wallet(), str(uuid4())
    settled = await agent.submit(mined, address(), "0.3", idempotency_key=its_key)
    await agent.mined(settled.json()["id"])
    await world.chain.rpc("evm_setIntervalMining", 0)
    sent = await agent.submit(wallet, to, "0.6", idempotency_key=key)
    assert (settled.status_code, sent.status_code) == (201, 201), sent.text
    # nobody having seen the step; and again, when it was seen. The local chain mines again when it is started again
    for seen in (False, True) if SOAK else (False,):
        clock.step(DAY + 3600)
        if seen:
            await doubted(running, AHEAD)
        await restarted(running)
        # before it looks for the first time, and behind that
        await refused(agent, wallet)
        await doubted(running, AHEAD)
        await refused(agent, wallet)
        for again, was in ((its_key, settled), (key, sent)):
            wallet_of, value = (mined, "0.3") if was is settled else (wallet, "0.6")
            told = await agent.submit(wallet_of, was.json()["to"], value, idempotency_key=again)
            assert (told.status_code, told.json()["tx_hash"]) == (200, was.json()["tx_hash"]), told.text
        clock.step(0)
        await believed(running)
        await refused(agent, wallet)
    await agent.mined(sent.json()["id"])
    await refused(agent, wallet)
    assert await world.chain.balance(to) == 6 * ETHER // 10
    assert await world.chain.nonce(wallet.address) == await world.chain.nonce(wallet.address, "pending") == 1


async def restarted(running: Running) -> None:
    """As by whoever turns it off and on again: the whole of it, on the same home and ports."""
    await running.stop()
    running.launch()
    await asyncio.to_thread(running.wait_ready)


@pytest.fixture
def another_clock() -> Iterator[SteppedClock]:
    with stepped_clock() as clock:
        yield clock


@pytest.fixture
def external() -> Iterator[str]:
    """A chain of somebody else's, which has a first block of now, and others when the test says so."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = anvil.start(anvil.find_binary(), port, block_time_s=None, chain_id=EXTERNAL)
    try:
        yield url
    finally:
        anvil.stop(process)


async def mine(url: str, clock: SteppedClock, behind_s: float = 0) -> None:
    """A block as old by the database's clock as that."""
    ((at,),) = clock.do("SELECT extract(epoch FROM clock_timestamp())::bigint")
    call(url, "evm_setNextBlockTimestamp", int(str(at)) - int(behind_s))
    call(url, "evm_mine")


async def test_with_an_external_chain_the_start_and_a_step_wait_for_its_blocks(
    tmp_path: Path, another_clock: SteppedClock, external: str
) -> None:
    clock, environment = another_clock, {f"TALON_RPC_{EXTERNAL}": external}
    async with started(tmp_path / "home", clock, **environment) as running:
        world = await World.of(running)
        wallet, agent = await world.wallet(), await world.agent(tx_daily_limit_eth="1")
        sent = await agent.submit(wallet, address(), "0.9")
        assert sent.status_code == 201, sent.text
        await agent.mined(sent.json()["id"])
        await believed(running)

        # while running: its blocks do not bear the clock out, then one does
        clock.step(DAY + 3600)
        await doubted(running, AHEAD)
        await refused(agent, wallet)
        await mine(external, clock, behind_s=500)
        await believed(running)
        sent = await agent.submit(wallet, address(), "0.9")
        assert sent.status_code == 201, sent.text
        await agent.mined(sent.json()["id"])
        await world.close()

    # at the start of a host that was off, as by what it knows of itself
    clock.do("UPDATE clock SET boot_id = 'another', revision = revision + 1")
    clock.step(2 * DAY + 7200)
    async with started(tmp_path / "home", clock, **environment) as again:
        http = httpx.AsyncClient(base_url=again.base_url, timeout=60)
        agent = Agent(agent.id, http, agent.key)
        await doubted(again, START)
        await refused(agent, wallet)
        await mine(external, clock, behind_s=660)
        await looked_at(clock)
        await refused(agent, wallet)
        await mine(external, clock, behind_s=300)
        await believed(again)
        sent = await agent.submit(wallet, address(), "0.9")
        assert sent.status_code == 201, sent.text
        await http.aclose()
