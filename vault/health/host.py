"""What the supervisor knows of the machine and the processes, and a confined API process cannot see.

It lies in memory that they share (memfd_create(2)), which needs no disk. Sizes in bytes, times in seconds of
CLOCK_MONOTONIC.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

# of the supervisor, which writes every few seconds
SILENT_S = 30.0
MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class Host:
    """`reasons` and `notes` are sentences for everybody; `restarts` counts by a child's name since the start."""

    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    restarts: Mapping[str, int] = field(default_factory=dict)
    disk_free: int | None = None
    disk_size: int | None = None
    at: float = 0.0

    @property
    def silent(self) -> bool:
        """Whether it is too old to be believed."""
        return time.monotonic() - self.at > SILENT_S


def write(descriptor: int, host: Host) -> None:
    """Replace what was said before."""
    said = json.dumps(asdict(host)).encode()[:MAX_BYTES]
    os.pwrite(descriptor, said + b"\n", 0)
    os.ftruncate(descriptor, len(said) + 1)


class HostReport:
    """The reader's side; without a descriptor (nobody supervises us) there is nothing to know."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._last: Host | None = None

    def read(self) -> Host | None:
        """What was said last."""
        if self._descriptor is None:
            return None
        try:
            # a longer one before it leaves its end behind for a moment
            said = json.loads(os.pread(self._descriptor, MAX_BYTES, 0).split(b"\n")[0])
            self._last = Host(**{**said, "reasons": tuple(said["reasons"]), "notes": tuple(said["notes"])})
        except ValueError:
            # read while it was being written: the next time
            return self._last
        return self._last
