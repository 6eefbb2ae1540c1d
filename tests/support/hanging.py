"""A process that is there and does nothing: stopped, not dead."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    """Stopped meanwhile; goes on behind it, unless a supervisor has replaced it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
