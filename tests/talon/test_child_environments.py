"""What an operator put into our environment stays there: no program that we start finds it in its own."""

import os
import subprocess
import sys
from pathlib import Path

from talon.bootstrap import ROOT
from talon.bootstrap.environment import inherited
from tests.support.pace import patient

# the interpreter itself tells of every program that is started, and with which environment (PEP 578)
WATCHED = """
import os, sys
from pathlib import Path
started = []

def hear(event, arguments):
    if event == "subprocess.Popen":
        given = dict(os.environ if arguments[3] is None else arguments[3])
        started.append((arguments[1], [name for name in given if name.startswith("TALON_")]))

sys.addaudithook(hear)
sys.path.insert(0, sys.argv[2])
from talon.children import choose_identities
from talon.layout import Layout
from talon.postgres import EmbeddedPostgres
from talon.token import init_token

home = Path(sys.argv[1])
identities = choose_identities(Layout(home), lambda line: None)
Layout(home).create(identities)
init_token(Layout(home).token, uid=identities.signer)
server = EmbeddedPostgres(Layout(home).postgres, Layout(home).pg_socket_dir)
server.start()
server.stop()
print(len(started), *[f"{command[:8]} {found}" for command, found in started if found], sep="\\n")
"""
SECRETS = {"TALON_ADMIN_PASSWORD": "a-word-of-ours", "TALON_DATABASE_URL": "postgresql://u:a-word-of-ours@db/talon"}


def test_nothing_that_is_started_inherits_our_variables(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WATCHED, str(tmp_path / "home"), str(ROOT)]
    done = subprocess.run(
        command, env={**os.environ, **SECRETS}, capture_output=True, text=True, timeout=patient(120), check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, *leaks = done.stdout.splitlines()
    assert int(count) >= 3
    assert leaks == []


def test_no_tool_of_the_set_up_does() -> None:
    assert not [name for name in inherited({"PATH": "/bin", **SECRETS}) if name.startswith("TALON_")]
