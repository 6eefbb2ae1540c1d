"""The time that really passed on this host, sleep included, and which start of the host it counts from."""

import time
from functools import cache
from pathlib import Path
from uuid import uuid4

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str:
    """The same for everybody on this host until it starts anew; one of its own where the kernel does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"unknown {uuid4()}"


def boottime_s() -> float:
    """Seconds of CLOCK_BOOTTIME: nobody steps it, and it counts sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
