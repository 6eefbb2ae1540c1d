"""What the supervisor learns by asking: programs of others' whether they answer, the disk whether it takes anything.

Threads of their own, because an answer may be long in coming and the supervisor has to go on meanwhile; they start no
process. Times in seconds, sizes in bytes.
"""

import contextlib
import errno
import http.client
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from psycopg import pq

# often until it is ready, then rarely: it costs both sides something
EAGER_S = 0.25
CALM_S = 10.0
ANSWER_S = 5.0
DISK_EVERY_S = 5.0
DISK_SILENT_S = 60.0
# PostgreSQL needs 16 MiB at once for its next log file
FULL_BELOW = 24 * 1024**2
LOW_BELOW = 512 * 1024**2
FULL = os.strerror(errno.ENOSPC).lower()
PROBE = b"\0" * 4096


class Questions:
    """Asks one program again and again; `answered_at` is when it last answered."""

    def __init__(self, name: str, ask: Callable[[], bool]) -> None:
        self.answered_at: float | None = None
        self._ask = ask
        # since when it has to answer anew: who was started again has not answered yet
        self._since = 0.0
        self._wake = threading.Event()
        threading.Thread(target=self._go_on, name=f"asking {name}", daemon=True).start()

    def begin(self) -> None:
        """It was started (again): ask often until it answers."""
        self._since = time.monotonic()
        self._wake.set()

    def _go_on(self) -> None:
        while True:
            asked_at = time.monotonic()
            if self._ask():
                # of the moment of the question: it may have been another's answer by now
                self.answered_at = asked_at
            well = self.answered_at is not None and self.answered_at >= self._since
            self._wake.wait(CALM_S if well else EAGER_S)
            self._wake.clear()


def chain_answers(port: int) -> bool:
    """Whether a local JSON-RPC server says which chain it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []})
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return bool(connection.getresponse().read())
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def postgres_answers(socket_dir: Path, port: int) -> bool:
    """Whether a server is there that says yes or no: one that starts or recovers says no, and lives. No log-in."""
    asked = f"host='{str(socket_dir).replace(chr(92), chr(92) * 2).replace(chr(39), chr(92) + chr(39))}' port={port}"
    found = pq.PGconn.ping(f"{asked} connect_timeout={ANSWER_S:.0f} dbname=postgres user=nobody".encode())
    return found in (pq.Ping.OK, pq.Ping.REJECT)


@dataclass(frozen=True)
class Disk:
    """The file system of the home: what is free for us, how large it is, and what it said to a write (None: well)."""

    free: int
    size: int
    refused: str | None
    at: float

    @property
    def reason(self) -> str | None:
        """Why nothing can be stored; None while it can."""
        if time.monotonic() - self.at > DISK_SILENT_S:
            return "The disk does not answer."
        if self.refused not in (None, FULL):
            return f"The disk takes no writes: {self.refused}."
        return "The disk is full." if self.refused == FULL or self.free < FULL_BELOW else None

    @property
    def note(self) -> str | None:
        """What is worth saying before that."""
        if self.reason is None and self.free < LOW_BELOW:
            return f"The disk has {self.free // 1024**2} MiB left."
        return None


def look_at_disk(home: Path) -> Disk:
    """Ask the file system, and write a little to it: quotas and faults are in no number."""
    refused = None
    probe = home / ".probe"
    free = size = 0
    try:
        found = os.statvfs(home)
        free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        with probe.open("wb", buffering=0) as file:
            file.write(PROBE)
    except OSError as error:
        refused = (error.strerror or type(error).__name__).lower()
    with contextlib.suppress(OSError):
        probe.unlink(missing_ok=True)
    return Disk(free, size, refused, time.monotonic())


class DiskWatch:
    """Looks at the disk again and again; `last` is what it found."""

    def __init__(self, home: Path) -> None:
        self.last = look_at_disk(home)
        self._home = home
        threading.Thread(target=self._go_on, name="looking at the disk", daemon=True).start()

    def _go_on(self) -> None:
        while True:
            time.sleep(DISK_EVERY_S)
            self.last = look_at_disk(self._home)
