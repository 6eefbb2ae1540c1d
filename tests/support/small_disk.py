"""An instance whose home is a small disk of its own, which a test fills, makes read-only, and gives back.

The disk is a tmpfs in a mount namespace of the instance's (as root, else in a user namespace); from outside its files
are reached by /proc/PID/root.
"""

import asyncio
import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

from talon import usage
from talon.layout import Layout
from tests.support.instance import UNHURRIED, Running

SIZE = "320m"
LIMIT_BYTES = 256 * 1024
MOUNT = 'mount -t tmpfs -o "size=$1,mode=0700" talon "$2" && shift 2 && exec "$@"'
FILL = "{ dd if=/dev/zero of=$2/filler bs=1M 2>/dev/null; true; }"
FILLED = MOUNT.replace("&& shift", f"&& {FILL} && shift")
ENTER = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


def has_namespaces() -> bool:
    """Whether this machine lets us mount anything."""
    asked = [*ENTER, "sh", "-c", "mount -t tmpfs talon /mnt"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


class OnSmallDisk(Running):
    """A running instance; its files are on the small disk."""

    @property
    def seen(self) -> Path:
        """Its home, as we see it."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root{self.home}")

    @property
    def layout(self) -> Layout:
        return Layout(self.seen)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Nothing more fits meanwhile."""
        filler = self.seen / "filler"
        try:
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(2**20))
            with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            yield
        finally:
            filler.unlink()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """What is opened meanwhile cannot be written to; a disk in trouble still takes what is open already."""
        home = str(self.home)
        self._inside("mount", "--bind", home, home)
        try:
            self._inside("mount", "-o", "remount,bind,ro", home)
            yield
        finally:
            self._inside("umount", "--lazy", home)

    def _inside(self, *command: str) -> None:
        assert self.process is not None
        user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
        subprocess.run(
            ["nsenter", "--target", str(self.process.pid), *user, "--mount", *command], check=True, cwd="/"
        )


class WithSmallFiles(Running):
    """A running instance on an ordinary disk, for machines that let nobody mount: no file may grow meanwhile."""

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Nothing more is taken above the first part of a file: the database's log, for one (RLIMIT_FSIZE)."""
        self._limit(LIMIT_BYTES)
        try:
            yield
        finally:
            # whoever is started meanwhile has it from the supervisor
            for _ in range(2):
                self._limit(None)

    def _limit(self, size: int | None) -> None:
        (supervisor,) = self.pids("supervisor")
        for pid in [supervisor, *(each.pid for each in usage.processes(supervisor))]:
            # other users' processes are not ours to limit; the supervisor and the database are
            with contextlib.suppress(ProcessLookupError, PermissionError):
                hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def on_small_disk(home: Path, size: str = SIZE, *, filled: bool = False) -> OnSmallDisk:
    """One that is not started yet; `filled`: with no room left on its disk."""
    script = FILLED if filled else MOUNT
    return OnSmallDisk(home, UNHURRIED, starter=(*ENTER, "sh", "-c", script, "sh", size, str(home)))


async def start_on_small_disk(home: Path) -> OnSmallDisk | WithSmallFiles:
    """Start one; the event loop goes on meanwhile."""
    running = on_small_disk(home) if has_namespaces() else WithSmallFiles(home, UNHURRIED)
    running.launch()
    await asyncio.to_thread(running.wait_ready)
    return running
