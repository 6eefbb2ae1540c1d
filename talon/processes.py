"""A child process that the supervisor keeps alive: start, notice its death, start again, stop. Times in seconds."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from talon.confine import Confinement

# dying this soon after its start means that it cannot run, not that it was killed at work
EARLY_DEATH_S = 10.0
# a child that somebody kills again and again is restarted as long as it gets to work in between
EARLY_KILL_S = 1.0
MAX_EARLY_DEATHS = 6
FIRST_BACKOFF_S = 0.05
MAX_BACKOFF_S = 5.0


class ChildKeepsDying(Exception):  # noqa: N818 - what the supervisor says on its last line
    """A child died too often in a row right after its start."""


@dataclass
class Child:
    """One supervised process. `environment` is all it gets; `descriptors` stay open in it."""

    name: str
    command: list[str]
    confinement: Confinement
    log_file: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    descriptors: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    started_at: float = field(default=0.0, init=False)
    restart_at: float | None = field(default=None, init=False)
    early_deaths: int = field(default=0, init=False)

    def start(self) -> None:
        """Start it. It dies with the calling thread, so call from the main one."""
        self.restart_at = None
        self.started_at = time.monotonic()
        descriptor = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            self.process = subprocess.Popen(
                self.confinement.wrap(self.command),
                env=dict(self.environment),
                pass_fds=self.descriptors,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the supervisor alone, which stops everybody in order
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def died(self) -> int | None:
        """The exit status of a process whose death has not been dealt with yet, else None."""
        return self.process.poll() if self.process is not None and self.restart_at is None else None

    def plan_restart(self, status: int) -> None:
        """Note a death and set the time of the next start; ChildKeepsDying when there is no point."""
        lifetime = time.monotonic() - self.started_at
        limit = EARLY_KILL_S if status == -signal.SIGKILL else EARLY_DEATH_S
        self.early_deaths = self.early_deaths + 1 if lifetime < limit else 0
        if self.early_deaths >= MAX_EARLY_DEATHS:
            raise ChildKeepsDying(
                f"{self.name} keeps dying ({describe(status)}); its last words are in {self.log_file}"
            )
        self.restart_at = time.monotonic() + min(FIRST_BACKOFF_S * 4**self.early_deaths, MAX_BACKOFF_S)

    def signal(self, number: int) -> None:
        """Send a signal, if it is still there to get it."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def stop_all(children: list[Child], timeout_s: float) -> None:
    """SIGTERM to all at once, SIGKILL to who is left after the time; returns when all are gone."""
    for child in children:
        child.restart_at = None
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    for child in children:
        if child.process is None:
            continue
        try:
            child.process.wait(max(0.01, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        child.process = None


def describe(status: int) -> str:
    """An exit status in words."""
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
