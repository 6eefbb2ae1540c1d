"""A child that somebody else has taken over gains nothing by what it shares with the supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from signer.lifeline import Lifeline
from talon.bootstrap import ROOT
from talon.children import BASIC_ENVIRONMENT, program_paths
from talon.confine import Confinement
from talon.layout import APP_UID, NOBODY_ELSE, Layout
from talon.processes import Child, stop_all
from talon.tend import Tender
from tests.support.pace import patient

SAYS = """
import sys
from signer.lifeline import Lifeline
Lifeline(int(sys.argv[1])).last_words("\\x1b]0;title\\x07 gone\\nready http://elsewhere.example")
sys.exit(75)
"""
OPENS = """
import os, sys
try:
    os.open(f"/proc/self/fd/{sys.argv[1]}", os.O_RDWR)
except PermissionError:
    print("refused")
"""


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def tender(tmp_path: Path, lines: list[str]) -> Iterator[Tender]:
    tender = Tender(tmp_path, tmp_path / "pids.json", lines.append)
    yield tender
    stop_all(tender.parts, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def test_its_last_words_are_one_line_of_letters(tender: Tender, lines: list[str], tmp_path: Path) -> None:
    line = os.memfd_create("line")
    command = [sys.executable, "-c", SAYS, str(line)]
    inside = Confinement(directory=str(ROOT))
    tender.launch(Child("api-1", command, inside, tmp_path / "api.log", descriptors=(line,), lifeline=Lifeline(line)))
    deadline = time.monotonic() + patient(60)
    while not lines and time.monotonic() < deadline:
        tender.tend()
    os.close(line)
    assert "gone ready http://elsewhere.example" in lines[0]
    assert lines[0].isprintable()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's processes share one uid")
def test_what_the_supervisor_reports_is_not_the_apis_to_write(tender: Tender) -> None:
    report = os.open(f"/proc/self/fd/{tender.report}", os.O_RDONLY)
    command = Confinement(APP_UID, program_paths(), directory=str(ROOT)).wrap(
        [sys.executable, "-c", OPENS, str(report)]
    )
    done = subprocess.run(
        command,
        env=BASIC_ENVIRONMENT,
        pass_fds=[report],
        capture_output=True,
        text=True,
        timeout=patient(60),
        check=True,
    )
    os.close(report)
    assert done.stdout == "refused\n"


def test_what_it_left_among_the_counts_is_taken_away(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "home")
    layout.create(NOBODY_ELSE)
    (layout.metrics / "counter_api-1.db" / "inner").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (layout.metrics / "link").symlink_to(tmp_path / "kept")
    layout.create(NOBODY_ELSE)
    assert list(layout.metrics.iterdir()) == []
    assert (tmp_path / "kept").is_dir()
