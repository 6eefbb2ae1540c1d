"""Which process is the supervisor of a home. Never taken on a number's word: numbers are used again."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from talon.cli.outcome import CommandError
from talon.home import LOCK
from talon.layout import Layout


def recorded(layout: Layout) -> int | None:
    """The process id that a running instance wrote down; None if it wrote none (yet)."""
    try:
        return int(json.loads(layout.pids.read_text())["supervisor"][0])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


@contextlib.contextmanager
def process(layout: Layout) -> Iterator[tuple[int, int]]:
    """The supervisor's process id and a descriptor that stands for this very process (pidfd_open(2)).

    CommandError when the recorded process is not there, does not hold the home's lock, or is another user's.
    """
    pid = recorded(layout)
    if pid is None:
        raise CommandError(f"somebody works on {layout.home}, but no Talon runs there (yet): try again in a moment")
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        raise CommandError(
            f"somebody works on {layout.home}, but process {pid} is not there: it may run in another container"
        ) from None
    try:
        if not _holds(pid, layout.home / LOCK):
            raise CommandError(f"process {pid} does not hold {layout.home}: it may run in another container")
        yield pid, descriptor
    finally:
        os.close(descriptor)


def _holds(pid: int, lock: Path) -> bool:
    sought = lock.stat()
    try:
        held = list(Path(f"/proc/{pid}/fd").iterdir())
    except PermissionError:
        raise CommandError(f"process {pid} belongs to another user: run this as that user, or as root") from None
    except OSError:
        return False
    for each in held:
        # one may be closed while we look
        with contextlib.suppress(OSError):
            if os.path.samestat(each.stat(), sought):
                return True
    return False
