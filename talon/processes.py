"""A process that the supervisor keeps alive: start, notice its end, start again, replace when it hangs, stop.

When that is done, `talon.restarts` and `talon.hangs` decide. Times in seconds.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from signer.lifeline import LASTING, REFUSED, TEMPORARY, Lifeline
from talon.asking import Questions
from talon.confine import Confinement
from talon.hangs import Watched
from talon.logging import redact_text
from talon.restarts import History

# a process that somebody kills again and again is started again at once as long as it lives so long in between
EARLY_KILL_S = 1.0
# what a process that hangs gets to end properly, where that is worth something
SOFT_S = 8.0
# of a log, for its last line
TAIL_BYTES = 4096
MAX_WORDS = 400


class Part:
    """One supervised process, whatever it takes to start it."""

    # how long it may give no sign of life
    bound_s = 15.0
    # how it is asked to end when it hangs; None: it has nothing to save
    soft_signal: int | None = None

    def __init__(self, name: str, log_file: Path) -> None:
        self.name, self.log_file = name, log_file
        self.process: subprocess.Popen[bytes] | None = None
        self.history = History()
        self.restarts = 0
        self.started_at = 0.0
        self.ready_at: float | None = None
        self.restart_at: float | None = None
        # why it is not there, for people; and for anybody
        self.ended = self.trouble = ""
        self._stopped_since: float | None = None
        self._ending_since: float | None = None
        self._log_begins = 0

    def start(self) -> None:
        """Start it. It dies with the calling thread, so call from the main one."""
        self.restart_at = self.ready_at = self._stopped_since = self._ending_since = None
        self.started_at = time.monotonic()
        with contextlib.suppress(OSError):
            self._log_begins = self.log_file.stat().st_size
        try:
            self.process = self._spawn()
        except (OSError, subprocess.SubprocessError) as error:
            # no memory, no process left, a file that cannot be read: a start that failed, not our end
            self.process = None
            self._plan(TEMPORARY, f"cannot be started: {error}")

    def _spawn(self) -> "subprocess.Popen[bytes]":
        raise NotImplementedError

    def seen_at(self) -> float | None:
        """When it last gave a sign of life since its start."""
        raise NotImplementedError

    def lasting(self, status: int) -> bool:
        """Whether this status of one that was not ready yet means a cause that waiting does not mend."""
        return status in (LASTING, REFUSED)

    def words(self) -> str:
        """Its last words: what it wrote last, if possible what ended it."""
        try:
            with self.log_file.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(size - TAIL_BYTES, self._log_begins if self._log_begins <= size else 0))
                lines = log.read(TAIL_BYTES).decode(errors="replace").splitlines()
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        fatal = [line for line in said if "FATAL" in line or "PANIC" in line]
        return redact_text((fatal or said or [""])[-1])[:MAX_WORDS]

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def died(self) -> int | None:
        """The exit status of a process whose end has not been dealt with yet, else None."""
        return self.process.poll() if self.process is not None and self.restart_at is None else None

    def bury(self, status: int) -> None:
        """Note an end, and set the time of the next start."""
        # who is killed has no time for words: the last line of its log is about something else
        self._plan(status, self.words() if status != -signal.SIGKILL else "")

    def _plan(self, status: int, words: str) -> None:
        now = time.monotonic()
        # a terminal obeys more than letters, and a line of its own may pass for one of ours
        words = "".join(char if char.isprintable() else " " for char in words)
        self.ready_at = self.ready_at or self.seen_at()
        killed = status == -signal.SIGKILL and now - self.started_at >= EARLY_KILL_S
        self.history = (
            History()
            if killed or self._ending_since is not None
            else self.history.after(
                ready_for_s=None if self.ready_at is None else now - self.ready_at,
                lasting=self.lasting(status),
                refused=status == REFUSED,
            )
        )
        self.ended = f"{words} ({describe(status)})" if words else describe(status)
        self.trouble = "what it needs does not answer" if status == TEMPORARY else describe(status)
        self.restart_at = now + self.history.pause_s

    def watched(self, now: float) -> Watched:
        """What is known of it while it runs."""
        stopped = self.pid is not None and state_of(self.pid) == "T"
        self._stopped_since = (self._stopped_since or now) if stopped else None
        seen_at = self.seen_at()
        if seen_at is not None and self.ready_at is None:
            self.ready_at = seen_at
        return Watched(self.started_at, self._stopped_since, seen_at, self.bound_s)

    def replace(self, now: float) -> bool:
        """Have it end, because it hangs; True the first time."""
        first = self._ending_since is None
        if first:
            self._ending_since = now
        if self.soft_signal is None or now - (self._ending_since or now) > SOFT_S:
            self.signal(signal.SIGKILL)
        elif first:
            self.signal(self.soft_signal)
            # one that is stopped hears nothing before it goes on
            self.signal(signal.SIGCONT)
        return first

    @property
    def ready(self) -> bool:
        """Whether it runs and was ready."""
        return self.pid is not None and self.ready_at is not None

    def signal(self, number: int) -> None:
        """Send a signal, if it is still there to get it."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(eq=False)
class Child(Part):
    """A program of ours or of others'. `environment` is all it gets; `descriptors` stay open in it.

    `lifeline` is of one that keeps one; others are asked `questions`.
    """

    name: str
    command: list[str]
    confinement: Confinement
    log_file: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    descriptors: tuple[int, ...] = ()
    lifeline: Lifeline | None = None
    bound_s: float = Part.bound_s
    soft_signal: int | None = None
    questions: Questions | None = None
    _has_been_ready: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        super().__init__(self.name, self.log_file)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        if self.lifeline is not None:
            self.lifeline.clear()
        if self.questions is not None:
            self.questions.begin()
        with self._open_log() as log:
            return subprocess.Popen(
                self.confinement.wrap(self.command),
                env=dict(self.environment),
                pass_fds=self.descriptors,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the supervisor alone, which stops everybody in order
                start_new_session=True,
            )

    def _open_log(self) -> BinaryIO:
        try:
            descriptor = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            # without a disk to write to, without a log: that is no reason not to work
            descriptor = os.open(os.devnull, os.O_WRONLY)
        return os.fdopen(descriptor, "ab")

    def seen_at(self) -> float | None:
        """By its lifeline, else when it last answered."""
        if self.lifeline is not None:
            return self.lifeline.last_beat()
        at = self.questions.answered_at if self.questions is not None else None
        if at is None or at < self.started_at:
            return None
        self._has_been_ready = True
        return at

    def lasting(self, status: int) -> bool:
        """A program of others' has no status for it: one that never worked and ends by itself will not work later."""
        if self.lifeline is not None:
            return super().lasting(status)
        return status > 0 and not self._has_been_ready

    def words(self) -> str:
        """By its lifeline, else the last line of its log."""
        return redact_text(self.lifeline.words() if self.lifeline is not None else "") or super().words()


def stop_all(parts: list[Part], timeout_s: float) -> None:
    """SIGTERM to all at once, SIGKILL to who is left after the time; returns when all are gone."""
    for part in parts:
        part.restart_at = None
        part.signal(signal.SIGTERM)
        # one that is stopped hears nothing before it goes on
        part.signal(signal.SIGCONT)
    deadline = time.monotonic() + timeout_s
    for part in parts:
        if part.process is None:
            continue
        try:
            part.process.wait(max(0.01, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            part.process.kill()
            part.process.wait()
        part.process = None


def describe(status: int) -> str:
    """An exit status in words."""
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def state_of(pid: int) -> str:
    """One letter (proc(5)): `T` is stopped by a signal; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
