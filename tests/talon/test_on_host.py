"""What somebody on the host does with an instance, running or stopped: a new password, the doctor, a stop.

One instance, in this order: commands while it runs, the stop, commands while it is stopped, another start.
"""

import asyncio
import functools
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pyotp
import pytest

from anvil import chain as anvil
from talon.home import HomeInUse, home_lock
from talon.migrate import head
from tests.support.instance import Running, start_instance
from tests.support.ports import free_port


@pytest.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    running = await start_instance(tmp_path_factory.mktemp("host") / "home", {"TALON_ANVIL_PORT": "0"})
    yield running
    await running.stop()


def talon(running: Running, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "talon.cli", *arguments],
        env=environment(running, changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment(running: Running, changes: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TALON_")}
    own = {"TALON_HOME": str(running.home), "TALON_PORT": str(running.port), "TALON_ANVIL_PORT": "0"}
    return inherited | own | dict(changes)


async def log_in(running: Running, email: str, password: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=running.base_url, timeout=60) as http:
        return await http.post("/v1/auth/token", json={"email": email, "password": password})


async def get(running: Running, path: str, token: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=running.base_url, timeout=60) as http:
        return await http.get(path, headers={"Authorization": f"Bearer {token}"})


def shown(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"password (\S+) \(shown once\)", done.stdout)
    assert found, done.stdout
    return found[1]


async def test_a_lost_password_is_mended_while_it_runs(own: Running) -> None:
    session = (await log_in(own, own.admin_email, own.admin_password)).json()["access_token"]
    # somebody guesses until the account is shut, also for who knows the new password
    while (await log_in(own, own.admin_email, "wrong")).status_code != 429:
        pass
    new = shown(await asyncio.to_thread(talon, own, "admin", "reset-password"))
    assert (await log_in(own, own.admin_email, own.admin_password)).status_code == 401
    assert (await get(own, "/v1/auth/me", session)).status_code == 401
    answer = await log_in(own, own.admin_email, new)
    assert answer.status_code == 200, answer.text
    events = (await get(own, "/v1/audit/events?action=user.reset_password", answer.json()["access_token"])).json()
    (event,) = events["events"]
    assert (event["actor_type"], event["actor_id"]) == ("system", "host")
    assert new not in str(events)


async def test_a_second_factor_is_dropped_only_when_asked(own: Running) -> None:
    token = (await log_in(own, own.admin_email, shown(talon(own, "admin", "reset-password")))).json()["access_token"]
    async with httpx.AsyncClient(base_url=own.base_url, headers={"Authorization": f"Bearer {token}"}) as http:
        secret = (await http.post("/v1/auth/mfa/setup", timeout=60)).json()["secret"]
        code = pyotp.TOTP(secret).now()
        assert (await http.post("/v1/auth/mfa/verify-setup", json={"code": code}, timeout=60)).status_code == 200
    done = await asyncio.to_thread(talon, own, "admin", "reset-password", "--email", own.admin_email)
    assert "--drop-second-factor" in done.stdout
    assert (await log_in(own, own.admin_email, shown(done))).json()["access_token"] == ""
    done = await asyncio.to_thread(talon, own, "admin", "reset-password", "--drop-second-factor")
    assert (await log_in(own, own.admin_email, shown(done))).json()["access_token"] != ""


async def test_it_is_asked_for_on_a_terminal_and_never_shown(own: Running) -> None:
    said = await asyncio.to_thread(typed, own, "short", "Correct-Horse-7-Staple", "Correct-Horse-7-Staple")
    assert "at least 12 characters" in said
    assert "the password is set" in said
    assert "Horse" not in said
    assert (await log_in(own, own.admin_email, "Correct-Horse-7-Staple")).status_code == 200


def typed(running: Running, *lines: str) -> str:
    """What `talon admin reset-password` says to somebody who types these lines."""
    pid, terminal = pty.fork()
    if pid == 0:
        command = [sys.executable, "-m", "talon.cli", "admin", "reset-password"]
        os.execve(sys.executable, command, environment(running, {}))  # noqa: S606 - the command under test
    said, heard = b"", 0
    waiting = list(lines)
    with os.fdopen(terminal, "r+b", buffering=0) as opened:
        while select.select([opened], [], [], 60)[0]:
            try:
                said += opened.read(1024)
            except OSError:  # its end, as a terminal tells it
                break
            if waiting and said[heard:].endswith((b"made up): ", b"again: ")):
                # what is typed before the question is thrown away, and each is answered once
                heard = len(said)
                opened.write(waiting.pop(0).encode() + b"\n")
        else:
            os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return said.decode()


async def test_the_doctor_finds_a_running_instance_well(own: Running) -> None:
    done = await asyncio.to_thread(talon, own, "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "warning"}
    for part in ("settings", "set-up", "home", "disk", "token", "database", "epoch", "custody", "instance", "redis"):
        assert any(line.split()[1] == f"{part}:" for line in lines), part
    assert f"revision {head()}" in done.stdout
    assert "healthy" in done.stdout
    for secret in (own.admin_password, *(path.read_text().strip() for path in own.home.glob("postgres/*.password"))):
        assert secret not in done.stdout


async def test_the_doctor_says_what_is_wrong_and_how_to_mend_it(own: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, running_anvil() as rpc_url:
        wrong = {
            "TALON_RPC_1": f"http://127.0.0.1:{free_port()}/0123456789abcdef0123456789abcdef",
            "TALON_RPC_5": rpc_url,
            "TALON_RPC_31337": rpc_url,
            "TALON_SMTP_URL": f"smtp://u:mails-password@127.0.0.1:{free_port()}",
            "TALON_REDIS_URL": f"redis://:counters-password@127.0.0.1:{silent.getsockname()[1]}",
            "TALON_WHATEVER": "1",
        }
        done = await asyncio.to_thread(functools.partial(talon, own, "doctor", "--json", **wrong))
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert said["ok"] is False
    found = {each["part"]: each for each in said["findings"]}
    states = {part: found[part]["state"] for part in found}
    assert states["chain 1, endpoint 1"] == states["chain 5, endpoint 1"] == "fault"
    assert states["chain 31337, endpoint 1"] == "ok"
    assert "chain 31337" in found["chain 5, endpoint 1"]["said"]
    # a server that takes the connection and never answers is given up
    assert states["mail"] == states["redis"] == "fault"
    assert states["settings"] == "warning"
    assert all("mend" in each for each in said["findings"] if each["state"] != "ok")
    for secret in ("0123456789abcdef", "mails-password", "counters-password"):
        assert secret not in done.stdout + done.stderr


@contextmanager
def running_anvil() -> Iterator[str]:
    port = free_port()
    process = anvil.start(anvil.find_binary(), port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        anvil.stop(process)


async def test_an_account_that_is_not_there_is_said(own: Running) -> None:
    done = await asyncio.to_thread(talon, own, "admin", "reset-password", "--email", "nobody@example.org")
    assert (done.returncode, done.stderr) == (1, "talon: no account has this address\n")
    done = await asyncio.to_thread(talon, own, "admin", "change-email", "no address")
    assert (done.returncode, done.stderr) == (1, "talon: email: must be an e-mail address\n")


async def test_stop_ends_this_instance_and_says_so(own: Running) -> None:
    pid = own.pids("supervisor")[0]
    done = await asyncio.to_thread(talon, own, "stop")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"stopped (process {pid}, ")
    assert own.process is not None
    assert own.process.wait(60) == 0
    with home_lock(own.home):
        pass
    # a second time there is nothing to do, and that is no fault
    again = await asyncio.to_thread(talon, own, "stop")
    assert (again.returncode, again.stdout) == (0, f"no Talon runs on {own.home}\n")


async def test_stop_ends_nobody_who_only_has_the_number(own: Running) -> None:
    # a home that somebody else works on, with the number of a process that has nothing to do with it
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    own.layout.pids.write_text(f'{{"supervisor": [{bystander.pid}]}}')
    with home_lock(own.home):
        done = await asyncio.to_thread(talon, own, "stop")
        with pytest.raises(HomeInUse), home_lock(own.home):
            pass
    own.layout.pids.unlink()
    assert done.returncode == 1
    assert f"process {bystander.pid} does not hold" in done.stderr
    assert bystander.returncode is None
    bystander.terminate()
    await bystander.wait()


def contents(home: Path) -> dict[str, tuple[int, int]]:
    return {str(each): (each.lstat().st_mtime_ns, each.lstat().st_size) for each in home.rglob("*")}


async def test_the_doctor_changes_nothing_in_a_stopped_instance(own: Running) -> None:
    before = contents(own.home)
    done = await asyncio.to_thread(talon, own, "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(own.home) == before
    with socket.create_server(("127.0.0.1", own.port)):
        done = await asyncio.to_thread(talon, own, "doctor")
    assert done.returncode == 1
    assert f"fault    ports: TALON_PORT: port {own.port} of 127.0.0.1 is taken" in done.stdout


async def test_the_doctor_misses_the_token_of_a_database_that_was_used(own: Running, tmp_path: Path) -> None:
    own.layout.token.rename(tmp_path / "token")
    try:
        done = await asyncio.to_thread(talon, own, "doctor")
    finally:
        (tmp_path / "token").rename(own.layout.token)
    assert done.returncode == 1
    assert f"fault    token: TALON_HOME ({own.home}) has a database, but the token" in done.stdout


async def test_the_same_on_a_stopped_instance_and_the_next_start_makes_no_second_admin(
    own: Running, tmp_path: Path
) -> None:
    moved = await asyncio.to_thread(talon, own, "admin", "change-email", "ops@example.org")
    assert moved.returncode == 0, moved.stderr
    new = shown(await asyncio.to_thread(talon, own, "admin", "reset-password"))
    (tmp_path / "file").touch()
    again = await start_instance(
        own.home,
        {
            "TALON_ANVIL_PORT": "0",
            "TALON_PORT": str(free_port()),
            "TALON_ADMIN_EMAIL": "third@example.org",
            "TALON_EPOCH_DIRECTORY": str(tmp_path / "file"),
        },
    )
    try:
        said = "".join(again.lines)
        assert f"warning: the epoch cannot be kept in {tmp_path / 'file'}, so" in said
        assert "TALON_ADMIN_EMAIL counts for the first start only: the first human is ops@example.org" in said
        assert (await log_in(again, "ops@example.org", new)).status_code == 200
        with psycopg.connect(again.owner_dsn) as connection:
            people = connection.execute("SELECT email, is_platform_admin FROM users").fetchall()
        assert people == [("ops@example.org", True)]
    finally:
        await again.stop()


def test_a_home_without_an_instance_is_left_alone(tmp_path: Path) -> None:
    nowhere = Running(tmp_path / "none")
    for arguments in (("stop",), ("admin", "reset-password")):
        done = talon(nowhere, *arguments)
        assert done.returncode == 1
        assert done.stderr == f"talon: there is no instance in TALON_HOME ({nowhere.home}) yet\n"
    assert not nowhere.home.exists()


def test_the_doctor_says_where_it_may_not_look(tmp_path: Path) -> None:
    # as with somebody else's home: asking whether it is there is an error itself
    done = talon(Running(tmp_path / ("n" * 300)), "doctor")
    assert done.returncode == 1, done.stderr
    assert "fault    home: it cannot be looked at: File name too long" in done.stdout
    assert done.stderr == ""
