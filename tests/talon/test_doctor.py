"""What the doctor says of a machine is what the supervisor meets on it, and a stop bears an end that comes first."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from talon.bootstrap import ROOT
from talon.cli import stop, supervisor_of
from talon.layout import Layout
from tests.support.bare import IN_A_CONTAINER
from tests.support.pace import patient


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has one uid anywhere")
@pytest.mark.parametrize(
    ("rights", "state", "said"),
    [((), "ok", "get uids of their own"), (IN_A_CONTAINER.prefix, "warning", "all processes run as root")],
    ids=["all rights", "a container's"],
)
def test_it_says_whether_processes_are_kept_apart(
    tmp_path: Path, rights: tuple[str, ...], state: str, said: str
) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TALON_")}
    done = subprocess.run(
        [*rights, sys.executable, "-m", "talon.cli", "doctor", "--json"],
        env=inherited | {"TALON_HOME": str(tmp_path / "none"), "TALON_ANVIL_PORT": "0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=patient(120),
        check=False,
    )
    (found,) = (each for each in json.loads(done.stdout)["findings"] if each["part"] == "uids")
    assert (found["state"], said in found["said"]) == (state, True), found


def test_a_stop_that_finds_it_ended_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(["true"]) as process:
        descriptor = os.pidfd_open(process.pid)

    @contextmanager
    def ended(_: Layout) -> Iterator[tuple[int, int]]:
        yield process.pid, descriptor

    monkeypatch.setattr(supervisor_of, "process", ended)
    stop._stop(Layout(tmp_path))
    os.close(descriptor)
    assert capsys.readouterr().out.startswith(f"stopped (process {process.pid}, ")
