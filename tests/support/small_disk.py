"""An instance whose home is a small disk of its own, which a test fills, makes read-only, and gives back.

The disk is a tmpfs in a mount namespace of the instance's (as root, else in a user namespace); from outside its files
are reached by /proc/PID/root.
"""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from talon.layout import Layout
from tests.support.instance import UNHURRIED, Running

SIZE = "320m"
MOUNT = 'mount -t tmpfs -o "size=$1,mode=0700" talon "$2" && shift 2 && exec "$@"'
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


def on_small_disk(home: Path, size: str = SIZE) -> OnSmallDisk:
    """One that is not started yet."""
    return OnSmallDisk(home, UNHURRIED, starter=(*ENTER, "sh", "-c", MOUNT, "sh", size, str(home)))


async def start_on_small_disk(home: Path) -> OnSmallDisk:
    """Start one; the event loop goes on meanwhile."""
    running = on_small_disk(home)
    running.launch()
    await asyncio.to_thread(running.wait_ready)
    return running
