"""PostgreSQL starts whatever rights root has, and for a user whom the machine does not know."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from talon.bootstrap import ROOT
from talon.children import program_paths
from talon.confine import Confinement
from talon.postgres_user import SERVER_UID
from tests.support.bare import IN_A_CONTAINER
from tests.support.pace import patient

START = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import psycopg
from talon.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
for _ in range(2):
    urls = server.start()
    with psycopg.connect(urls.app.replace("+psycopg", "")) as connection:
        print(*connection.execute("SELECT current_user").fetchone())
    print("uid", Path(f"/proc/{server.pid}").stat().st_uid)
    server.stop()
"""
# this machine's own files at another place: after chroot the kernel refuses user namespaces, as a container does
CHROOT = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root takes rights away from itself")


def started(command: list[str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(120), check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split("\n")


@pytest.mark.parametrize("rights", [(), IN_A_CONTAINER.prefix], ids=["may mount", "may not even mount"])
def test_without_user_namespaces(tmp_path: Path, rights: tuple[str, ...]) -> None:
    system = tmp_path / "system"
    system.mkdir()
    # pytest's folders are closed to all others, and so is the home made here
    home = tmp_path / "home"
    program = [*rights, sys.executable, "-c", START, str(home), str(ROOT)]
    script = 'mount --rbind / "$1" && cd "$1" && shift && mount -t proc proc proc && exec chroot . "$@"'
    said = started([*CHROOT, script, "sh", str(system), *program])
    assert said[:4] == ["talon_app", f"uid {SERVER_UID}"] * 2
    assert (home / "data").stat().st_uid == SERVER_UID
    # where namespaces work again, the same cluster is root's again
    said = started([sys.executable, "-c", START, str(home), str(ROOT)])
    assert said[:4] == ["talon_app", "uid 0"] * 2
    assert (home / "data").stat().st_uid == 0


def test_as_a_user_without_an_account(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 4321, 4321)
    confined = Confinement(4321, program_paths(), (str(home),), directory=str(ROOT))
    said = started(confined.wrap([sys.executable, "-c", START, str(home / "postgres"), str(ROOT)]))
    assert said[:4] == ["talon_app", "uid 4321"] * 2
