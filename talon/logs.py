"""Keep the log files small. Their writers hold them open for as long as they live, so they are cut, never renamed."""

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

# of each file, and of the one before it that is kept
MAX_BYTES = 8 * 2**20
EVERY_S = 5.0


class Logs:
    """The log files of one instance: `*.log` in each of the directories; what came before is in `*.log.1`."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self.directories = directories
        self._next_at = 0.0

    def look(self) -> None:
        """Cut what has grown too large; looks every EVERY_S seconds at most, however often it is called."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + EVERY_S
        for directory in self.directories:
            for path in directory.glob("*.log"):
                with contextlib.suppress(OSError):
                    if path.stat().st_size > MAX_BYTES:
                        cut(path)


def cut(path: Path) -> None:
    """Put aside what a log holds and empty it; OSError when it cannot be emptied.

    Its writers append (O_APPEND), so they go on at the new end; a line written in this very moment may be lost.
    """
    before = path.with_name(f"{path.name}.1")
    try:
        # the disk may be full, and this is what fills it
        before.unlink(missing_ok=True)
        descriptor = os.open(before, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with path.open("rb") as old, os.fdopen(descriptor, "wb") as new:
            old.seek(max(0, os.fstat(old.fileno()).st_size - MAX_BYTES))
            new.write(old.read(MAX_BYTES))
            # what came meanwhile
            new.write(old.read(MAX_BYTES))
    except OSError:
        before.unlink(missing_ok=True)
    os.truncate(path, 0)
