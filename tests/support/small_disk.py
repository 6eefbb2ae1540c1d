"""An instance whose home is a small disk of its own, which a test fills, makes read-only, and gives back.

The disk is a tmpfs in a mount namespace of its own (as root, else in a user namespace), of the instance's or of a
process that holds it; from outside its files are reached by /proc/PID/root.
"""

import asyncio
import contextlib
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from talon import usage
from talon.bootstrap import ROOT
from talon.layout import Layout
from tests.support.instance import UNHURRIED, Running

SIZE = "320m"
LIMIT_BYTES = 256 * 1024
MOUNT = 'mount -t tmpfs -o "size=$1,mode=0700" talon "$2" && shift 2 && exec "$@"'
HOLD = 'mount -t tmpfs -o "size=$1,mode=0700" talon "$2" && echo mounted && exec cat'
ENTER = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


def has_namespaces() -> bool:
    """Whether this machine lets us mount anything."""
    asked = [*ENTER, "sh", "-c", "mount -t tmpfs talon /mnt"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def small_disk(place: Path, size: str = SIZE) -> Iterator[int]:
    """One at `place` in the mount namespace of the process with this id; gone at the end."""
    place.mkdir(exist_ok=True)
    holder = subprocess.Popen(
        [*ENTER, "sh", "-c", HOLD, "sh", size, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "mounted\n"
        yield holder.pid
    finally:
        holder.stdin.close()
        holder.wait(30)
        holder.stdout.close()


def there(holder: int) -> tuple[str, ...]:
    """What starts a program where that process is, in the directory where we are."""
    user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
    within = ("sh", "-c", 'cd "$0" && exec "$@"', str(ROOT))
    return ("nsenter", "--target", str(holder), *user, "--mount", *within)


@contextlib.contextmanager
def filled(directory: Path) -> Iterator[None]:
    """Nothing more fits on the disk of a directory meanwhile."""
    filler = directory / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (2**20, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
        yield
    finally:
        filler.unlink()


class OnSmallDisk(Running):
    """An instance whose files are on the small disk; `holder` has it while nothing runs, if anybody does."""

    holder: int | None = None

    @property
    def seen(self) -> Path:
        """Its home, as we see it."""
        pid = self.holder if self.process is None else self.process.pid
        return Path(f"/proc/{pid}/root{self.home}")

    @property
    def layout(self) -> Layout:
        return Layout(self.seen)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Nothing more fits meanwhile."""
        with filled(self.seen):
            yield

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
        subprocess.run([*there(self.process.pid), *command], check=True, cwd="/")


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


def on_small_disk(home: Path, size: str = SIZE) -> OnSmallDisk:
    """One that is not started yet."""
    return OnSmallDisk(home, UNHURRIED, starter=(*ENTER, "sh", "-c", MOUNT, "sh", size, str(home)))


@contextlib.asynccontextmanager
async def started_on_small_disk(home: Path) -> AsyncIterator[OnSmallDisk | WithSmallFiles]:
    """A running one, which may be stopped and started again; the event loop goes on meanwhile."""
    with contextlib.ExitStack() as stack:
        running: OnSmallDisk | WithSmallFiles = WithSmallFiles(home, UNHURRIED)
        if has_namespaces():
            holder = stack.enter_context(small_disk(home))
            running = OnSmallDisk(home, UNHURRIED, starter=there(holder))
            running.holder = holder
        running.launch()
        await asyncio.to_thread(running.wait_ready)
        try:
            yield running
        finally:
            await running.stop()
