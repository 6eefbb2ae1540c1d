"""Logs that stay small, whatever their writers say, and that lose nothing of what was said last."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from talon import logs
from talon.logs import Logs
from tests.support.pace import patient

# says numbered lines for as long as it is asked for more
CHATTER = """
import os, sys
number = 0
for line in sys.stdin:
    for number in range(number + 1, number + 1 + int(line)):
        os.write(2, b"%09d\\n" % number)
    print(number, flush=True)
"""


def test_a_log_is_bounded_while_its_writer_holds_it_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 10_000)
    monkeypatch.setattr(logs, "EVERY_S", 0.0)
    path, before = tmp_path / "api-1.log", tmp_path / "api-1.log.1"
    (tmp_path / "other.txt").write_bytes(b"x" * 20_000)
    keeper = Logs((tmp_path,))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    command = [sys.executable, "-c", CHATTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=descriptor, text=True) as it:
        os.close(descriptor)
        assert it.stdin is not None
        assert it.stdout is not None
        for turn in range(20):
            it.stdin.write("300\n")
            it.stdin.flush()
            assert int(it.stdout.readline()) == 300 * (turn + 1)
            keeper.look()
            assert path.stat().st_size <= 10_000
        it.stdin.close()
        it.wait(patient(20))
    assert before.stat().st_mode & 0o777 == 0o600
    assert before.stat().st_size <= 10_000
    # the newest lines are there, one after the other, without a hole of zeros where the writer thought it was
    said = (before.read_bytes() + path.read_bytes()).split(b"\n")[1:-1]
    assert said == [b"%09d" % number for number in range(6_001 - len(said), 6_001)]
    assert len(said) > 900
    assert (tmp_path / "other.txt").stat().st_size == 20_000


def test_a_log_that_cannot_be_kept_aside_is_emptied_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: a log may be what fills it."""
    monkeypatch.setattr(logs, "MAX_BYTES", 10)
    path = tmp_path / "worker.log"
    path.write_bytes(b"x" * 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # no file may grow beyond nothing: the write fails as it does on a full disk
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        Logs((tmp_path,)).look()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.stat().st_size == 0
    assert [each.name for each in tmp_path.iterdir()] == ["worker.log"]
