"""The local chain's state on disk: compressed, and either the old one or the new one, never half of one."""

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# anvil's own form, which earlier homes have
PLAIN = "state.json"
PACKED = "state.json.gz"
LOADED = "loaded.json"


class StateFile:
    """The saved state in one directory. OSError when the disk does not take it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.packed = directory / PACKED

    def write(self, packed: bytes) -> None:
        """Replace what is saved by this gzip of a state."""
        fresh = self.directory / f".{PACKED}.new"
        try:
            with fresh.open("wb") as file:
                file.write(packed)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            # half of it would only be in the way on a full disk
            with suppress(OSError):
                fresh.unlink()
            raise
        fresh.replace(self.packed)
        # what an earlier version left would only grow old
        (self.directory / PLAIN).unlink(missing_ok=True)

    def read(self) -> dict[str, Any] | None:
        """What is saved; None when nothing is. ValueError or OSError when it cannot be read."""
        plain = self.directory / PLAIN
        if self.packed.exists():
            text = gzip.decompress(self.packed.read_bytes())
        elif plain.exists():
            text = plain.read_bytes()
        else:
            return None
        found: dict[str, Any] = json.loads(text)
        return found

    @contextmanager
    def unpacked(self, state: dict[str, Any] | None) -> Iterator[Path | None]:
        """A file for anvil to load, there only while it starts; None for no state."""
        if state is None:
            yield None
            return
        loaded = self.directory / LOADED
        try:
            loaded.write_text(json.dumps(state, separators=(",", ":")))
            yield loaded
        finally:
            with suppress(OSError):
                loaded.unlink()
