"""What the API's uid can reach of the signer: nothing. Needs root, as the separation itself does."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from talon.confine import Confinement, first_closed
from talon.layout import APP_UID, CHAIN_UID, SIGNER_UID
from tests.support.instance import Running

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="started as an ordinary user, all processes share one uid")


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def attempt(uid: int, *command: str, inside: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command under a uid, in our view of the files or in that of the process `inside`."""
    enter = ["nsenter", f"--target={inside}", "--mount"] if inside is not None else []
    drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
    return subprocess.run([*enter, *drop, *command], capture_output=True, text=True, timeout=30, check=False)


@as_root
def test_every_kind_of_process_has_its_own_uid_and_no_way_back(instance: Running) -> None:
    for name, uid in (("signer", SIGNER_UID), ("api", APP_UID), ("worker", APP_UID), ("anvil", CHAIN_UID)):
        pids = instance.pids(name)
        assert pids, name
        for pid in pids:
            found = status(pid)
            assert found["Uid"].split() == [str(uid)] * 4
            assert found["Gid"].split() == [str(uid)] * 4
            assert found["Groups"] == ""
            assert found["NoNewPrivs"] == "1"
            assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0


@as_root
def test_the_api_reaches_neither_token_nor_pin_nor_the_signers_memory(instance: Running) -> None:
    signer, api = instance.pids("signer")[0], instance.pids("api")[0]
    token = instance.layout.token
    targets = [
        str(token / "pin"),
        *(str(path) for path in token.rglob("token.object")),
        str(instance.layout.config("signer")),
        str(instance.layout.postgres / "talon_signer.password"),
        f"/proc/{signer}/environ",
        f"/proc/{signer}/maps",
        f"/proc/{signer}/mem",
    ]
    assert len(targets) == 7
    for target in targets:
        # root can open every one of them, so a refusal says something about the uid and not about the path
        os.close(os.open(target, os.O_RDONLY))
        for inside in (None, api):
            assert attempt(APP_UID, "head", "-c", "1", target, inside=inside).returncode != 0, target
    for inside in (None, api):
        assert attempt(APP_UID, "ls", str(token), inside=inside).returncode != 0
        assert attempt(APP_UID, "kill", "-TERM", str(signer), inside=inside).returncode != 0
    # the control: its own configuration it can read, so the way to look works
    assert attempt(APP_UID, "head", "-c", "1", str(instance.layout.config("api")), inside=api).stdout == "{"


@as_root
def test_the_api_does_not_even_see_the_token_or_the_cluster(instance: Running) -> None:
    api = instance.pids("api")[0]
    seen = attempt(APP_UID, "ls", str(instance.home), inside=api)
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.split() == ["metrics", "run"]


@as_root
def test_the_api_cannot_write_where_the_code_is(instance: Running) -> None:
    api = instance.pids("api")[0]
    code = Path(__file__).resolve().parents[2] / "talon"
    assert attempt(APP_UID, "touch", str(code / "planted.py"), inside=api).returncode != 0
    assert attempt(0, "touch", str(instance.layout.run / "planted"), inside=api).returncode != 0


@as_root
def test_only_the_apps_uid_may_knock_at_the_signer(instance: Running) -> None:
    socket = instance.signer_socket
    directory = socket.parent.stat()
    assert (directory.st_uid, stat.S_IMODE(directory.st_mode)) == (APP_UID, 0o700)
    assert (socket.stat().st_uid, stat.S_IMODE(socket.stat().st_mode)) == (APP_UID, 0o600)


@as_root
def test_a_program_under_a_closed_directory_still_runs(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "shown").mkdir(parents=True)
    (closed / "hidden").mkdir()
    (closed / "shown" / "file").write_text("content")
    closed.chmod(0o700)
    (closed / "shown").chmod(0o755)
    (closed / "shown" / "file").chmod(0o644)
    assert first_closed(str(closed / "shown"), APP_UID) is not None
    confinement = Confinement(uid=APP_UID, readable=(str(closed / "shown"),))

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            confinement.wrap(["sh", "-c", script]), capture_output=True, text=True, timeout=30, check=False
        )

    assert run(f"cat {closed}/shown/file; ls {closed}").stdout == "contentshown\n"
    assert run(f"echo x > {closed}/shown/file").returncode != 0
    assert (closed / "shown" / "file").read_text() == "content"
    # nothing of this is visible out here
    assert (closed / "hidden").is_dir()


def test_a_child_dies_with_its_parent() -> None:
    program = (
        "import subprocess, sys, time\n"
        "from talon.confine import Confinement\n"
        "child = subprocess.Popen(Confinement().wrap(['sleep', '60']))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        # once it is `sleep`, the launcher has done its work
        name = Path(f"/proc/{pid_of(child)}/comm")
        while name.read_text().strip() != "sleep":
            pass
        parent.send_signal(signal.SIGKILL)
    gone = select_readable(child, 10)
    os.close(child)
    assert gone


def pid_of(pidfd: int) -> int:
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Pid:")))


def select_readable(descriptor: int, timeout_s: float) -> bool:
    import select

    return bool(select.select([descriptor], [], [], timeout_s)[0])


def test_a_child_without_its_parent_does_not_even_start() -> None:
    command = Confinement().wrap(["true"])
    command[4] = command[4].replace(f'"parent": {os.getpid()}', '"parent": 1')
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "parent" in done.stderr
