"""One command starts everything, keeps it alive, and leaves nothing behind, however it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from talon.instance import Instance, InstanceError
from tests.support.instance import Running, start_instance
from tests.support.ports import free_port
from tests.support.world import until

KINDS = {"supervisor", "postgres", "anvil", "signer", "api", "worker"}


def processes_of(home: Path) -> list[int]:
    """Every process that mentions the home in its arguments, or descends from one that does."""
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            arguments = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if fields[0] in "ZX":
            continue
        parents[int(entry.name)] = int(fields[1])
        if os.fsencode(home) in arguments:
            found.add(int(entry.name))
    for _ in range(5):
        found |= {pid for pid, parent in parents.items() if parent in found}
    return sorted(found - {os.getpid()})


async def gone(home: Path, timeout_s: float = 20) -> None:
    async def none() -> bool:
        return processes_of(home) == []

    await until(none, timeout_s, f"the end of {processes_of(home)}", every_s=0.05)


async def replaced(running: Running, name: str, killed: int, count: int) -> None:
    async def ask() -> bool:
        pids = running.pids(name)
        return killed not in pids and len(pids) == count and await running.stays_healthy()

    await until(ask, 60, f"{name} restarted")


@pytest.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """An instance to be rough with."""
    running = await start_instance(tmp_path_factory.mktemp("rough"), {"TALON_WORKERS": "2", "TALON_SIGNERS": "2"})
    yield running
    assert running.process is not None
    assert running.process.poll() is None, running.lines
    await running.stop()


async def test_all_of_it_runs(own: Running) -> None:
    assert set(own.process_names()) == KINDS
    assert {name: len(own.pids(name)) for name in KINDS} == {
        "supervisor": 1, "postgres": 1, "anvil": 1, "signer": 2, "api": 2, "worker": 1,
    }  # fmt: skip
    await until(own.healthy, 60, "health")


@pytest.mark.parametrize("name", ["api", "signer", "worker", "anvil", "postgres"])
async def test_a_killed_child_is_replaced(own: Running, name: str) -> None:
    pids = own.pids(name)
    os.kill(pids[0], signal.SIGKILL)
    await replaced(own, name, pids[0], len(pids))


async def test_requests_survive_while_one_of_two_apis_is_dead(own: Running) -> None:
    killed = own.pids("api")[0]
    # stopped first: every answer is now the other's, which must be over what the tests before did to the parts
    os.kill(killed, signal.SIGSTOP)
    await until(own.healthy, 20)
    os.kill(killed, signal.SIGKILL)

    # dying takes it a moment, in which it may still take a connection along
    async def dead() -> bool:
        return killed not in own.pids("api")

    await until(dead, every_s=0.01)
    # a new connection for each, so that none of them is with the dead one
    for _ in range(20):
        assert await own.healthy()
    await replaced(own, "api", killed, 2)


async def test_a_second_supervisor_on_the_same_home_is_refused(own: Running) -> None:
    second = Instance(own.home)
    second.launch()
    with pytest.raises(InstanceError, match="another Talon runs on"):
        await asyncio.to_thread(second.wait_ready)
    assert await own.healthy()


def test_no_secret_is_in_arguments_environments_or_logs(own: Running) -> None:
    layout = own.layout
    secrets = [(layout.token / "pin").read_text().strip(), own.admin_password]
    secrets += [path.read_text().strip() for path in layout.postgres.glob("*.password")]
    for name in KINDS:
        for pid in own.pids(name):
            shown = Path(f"/proc/{pid}/cmdline").read_bytes()
            if name != "supervisor":
                # the supervisor was given the admin's password there, by us
                shown += Path(f"/proc/{pid}/environ").read_bytes()
            for secret in secrets:
                assert secret.encode() not in shown, name
    said = b"".join(path.read_bytes() for path in (*layout.logs.iterdir(), layout.postgres / "postgres.log"))
    assert b"signer ready" in said
    for secret in secrets:
        assert secret.encode() not in said
        assert secret not in "".join(own.lines)


async def test_a_stop_and_a_start_keep_the_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("again")
    running = await start_instance(home)

    async def login(email: str, password: str) -> dict:
        async with httpx.AsyncClient(base_url=running.base_url, timeout=30) as http:
            answer = await http.post("/v1/auth/token", json={"email": email, "password": password})
            assert answer.status_code == 200, answer.text
            headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            if not (await http.get("/v1/vaults", headers=headers)).json()["vaults"]:
                await http.post("/v1/vaults", json={"name": "kept", "description": ""}, headers=headers)
            return (await http.get("/v1/vaults", headers=headers)).json()

    email, password = running.admin_email, running.admin_password
    before = await login(email, password)
    await running.stop()
    assert running.lines[-1] == "stopping\n"
    await gone(home)
    # other ports, another password asked for: what is there stays
    running = await start_instance(home)
    try:
        after = await login(email, password)
        assert after == before
    finally:
        await running.stop()


async def test_sigkill_of_the_supervisor_leaves_no_orphan(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("orphans")
    running = await start_instance(home)
    # six of ours and PostgreSQL's own
    assert len(processes_of(home)) > len(KINDS)
    assert running.process is not None
    os.kill(running.pids("supervisor")[0], signal.SIGKILL)
    await asyncio.to_thread(running.process.wait, 10)
    await gone(home)
    again = await start_instance(home)
    assert await again.healthy()
    await again.stop()
    await gone(home)


async def test_two_instances_side_by_side(own: Running, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = await start_instance(tmp_path_factory.mktemp("other"), {"TALON_ANVIL_PORT": "0"})
    try:
        assert await other.healthy()
        assert "anvil" not in other.process_names()
        assert await own.healthy()
    finally:
        await other.stop()
    assert await own.healthy()


def serve(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {"TALON_HOME": str(home), "TALON_PORT": str(free_port()), "TALON_ANVIL_PORT": str(free_port())}
    return subprocess.run(
        [sys.executable, "-m", "talon.cli", "serve"],
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_a_child_that_never_ran_and_keeps_dying_stops_everything_with_a_line(tmp_path: Path) -> None:
    done = await asyncio.to_thread(serve, tmp_path, TALON_ANVIL_BINARY="/bin/false")
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    # its own last sentence
    assert last.startswith("talon stopped: anvil cannot run: anvil does not start on port")
    await gone(tmp_path)


async def test_a_taken_port_is_said_in_a_line(own: Running, tmp_path: Path) -> None:
    for name, port in (("TALON_PORT", own.port), ("TALON_ANVIL_PORT", own.anvil_port)):
        done = await asyncio.to_thread(serve, tmp_path / name, **{name: str(port)})
        assert done.returncode == 1
        last = done.stdout.splitlines()[-1]
        assert last.startswith("talon stopped: ")
        assert str(port) in last
        assert name in last


async def test_a_senseless_variable_is_said_in_a_line(tmp_path: Path) -> None:
    done = await asyncio.to_thread(serve, tmp_path, TALON_WORKERS="many")
    assert done.returncode == 1
    assert done.stdout.startswith("talon stopped: TALON_WORKERS must be a whole number")


async def test_a_stop_while_still_starting_leaves_nothing(tmp_path: Path) -> None:
    starting = Instance(tmp_path)
    starting.launch()
    process = starting.process
    assert process is not None

    async def postgres_runs() -> bool:
        return bool(starting.pids("postgres"))

    await until(postgres_runs, 60, "PostgreSQL", every_s=0.02)
    await asyncio.to_thread(starting.stop)
    assert process.returncode == 0
    await gone(tmp_path)
