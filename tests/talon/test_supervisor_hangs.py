"""What hangs is found and replaced within seconds; what the operator's terminal does changes nothing."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from signer.lifeline import Lifeline
from talon.confine import Confinement
from talon.processes import Child, stop_all
from talon.tend import Tender
from tests.support.instance import Running, start_instance
from tests.support.pace import patient
from tests.support.world import until


@pytest.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """An instance to be rough with."""
    running = await start_instance(tmp_path_factory.mktemp("hangs"), {"TALON_WORKERS": "2", "TALON_SIGNERS": "2"})
    yield running
    assert running.process is not None
    assert running.process.poll() is None, running.lines
    await running.stop()


async def vaults(running: Running) -> list[str]:
    async with httpx.AsyncClient(base_url=running.base_url, timeout=60) as http:

        async def ask(method: str, path: str, body: object = None) -> dict:
            async def answered() -> httpx.Response | None:
                # 503 is the answer to whoever gets a connection that died with the database
                answer = await http.request(method, path, json=body)
                assert answer.status_code in (200, 503), answer.text
                return answer if answer.status_code == 200 else None

            return (await until(answered, 30, path)).json()

        login = {"email": running.admin_email, "password": running.admin_password}
        token = (await ask("POST", "/v1/auth/token", login))["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        return [vault["name"] for vault in (await ask("GET", "/v1/vaults"))["vaults"]]


async def well(running: Running) -> None:
    await until(running.stays_healthy, 60, "health")


@pytest.mark.parametrize("name", ["api", "signer", "worker", "anvil", "postgres"])
async def test_a_stopped_process_is_replaced(own: Running, name: str) -> None:
    before = await vaults(own)
    pids = own.pids(name)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()

    async def replaced() -> bool:
        now = own.pids(name)
        return not set(pids) & set(now) and len(now) == len(pids)

    await until(replaced, 20, f"{name} to be replaced", every_s=0.1)
    print(f"{name}: replaced within {time.monotonic() - began:.1f} s")
    await well(own)
    assert await vaults(own) == before
    assert sum(f"{name}" in line and "is stopped; replacing it" in line for line in own.lines) == len(pids)


async def test_health_says_so_meanwhile_and_nothing_else_is_touched(own: Running) -> None:
    others = {name: own.pids(name) for name in ("supervisor", "api", "postgres", "anvil", "worker")}
    seen: list[str] = []
    for pid in own.pids("signer"):
        os.kill(pid, signal.SIGSTOP)

    async def said() -> bool:
        async with httpx.AsyncClient(base_url=own.base_url, timeout=30) as http:
            answer = await http.get("/v1/health")
        seen.extend(answer.json().get("reasons", ()))
        return answer.status_code == 503

    await until(said, 10, "health to say so", every_s=0.2)
    assert seen == ["The signer does not answer."]
    await well(own)
    assert {name: own.pids(name) for name in others} == others


async def test_a_closed_terminal_ends_nothing(own: Running) -> None:
    before = {name: own.pids(name) for name in own.process_names()}
    (supervisor,) = own.pids("supervisor")
    os.kill(supervisor, signal.SIGHUP)
    # it was heard, and not obeyed: the supervisor goes on tending
    (worker,) = own.pids("worker")
    os.kill(worker, signal.SIGKILL)

    async def replaced() -> bool:
        return own.pids("worker") not in ([], [worker])

    await until(replaced, 30, "the worker")
    await well(own)
    after = {name: own.pids(name) for name in own.process_names()}
    assert after | {"worker": []} == before | {"worker": []}


async def test_a_supervisor_that_was_stopped_itself_kills_nobody(own: Running) -> None:
    before = {name: own.pids(name) for name in own.process_names()}
    (supervisor,) = own.pids("supervisor")
    everybody = [pid for pids in before.values() for pid in pids]
    # as when a machine is suspended, or a container frozen: all of them for longer than anybody may be silent
    os.kill(supervisor, signal.SIGSTOP)
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(17)
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    await well(own)
    assert {name: own.pids(name) for name in own.process_names()} == before


STUCK = """
import asyncio, sys, time
from signer.lifeline import Lifeline

async def main():
    beating = asyncio.create_task(Lifeline(int(sys.argv[1])).keep_beating())
    await asyncio.sleep(0.1)
    time.sleep(600)

asyncio.run(main())
"""


def test_an_event_loop_that_is_stuck_is_replaced(tmp_path: Path) -> None:
    line, lines = os.memfd_create("line"), []
    child = Child(
        "stuck",
        [sys.executable, "-c", STUCK, str(line)],
        Confinement(directory=str(Path(__file__).parents[2])),
        tmp_path / "stuck.log",
        descriptors=(line,),
        lifeline=Lifeline(line),
        bound_s=0.5,
    )
    tender = Tender(tmp_path, tmp_path / "pids.json", lines.append)
    try:
        tender.launch(child)
        deadline = time.monotonic() + patient(60)
        while not child.restarts and time.monotonic() < deadline:
            tender.tend()
        assert child.restarts == 1
        assert lines[0] == "stuck hangs; replacing it"
    finally:
        stop_all([child], 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(line)
