"""What a process lets its supervisor know without asking: that its event loop turns, and why it ends.

Both are in memory that the two share (memfd_create(2)): a beat wakes nobody and needs no disk, so it also comes
through when the disk is full. Times in seconds, CLOCK_MONOTONIC, which all processes of a machine share.
"""

import asyncio
import os
import struct
import time
from typing import Final

BEAT_S: Final = 2.0
MAX_WORDS_BYTES: Final = 600
# sysexits.h: one that waiting may mend, one that it does not; and one that must not even be tried again
TEMPORARY: Final = 75
REFUSED: Final = 77
LASTING: Final = 78

_BEAT: Final = struct.Struct("<d")


class Lifeline:
    """One process's line; without a descriptor (a process that nobody supervises) everything here does nothing."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def beat(self) -> None:
        """Say that we are well; the first time it means that we are ready."""
        if self._descriptor is not None:
            os.pwrite(self._descriptor, _BEAT.pack(time.monotonic()), 0)

    async def keep_beating(self) -> None:
        """Beat from the event loop until cancelled: a loop that does not turn does not beat."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_S)

    def last_words(self, sentence: str) -> None:
        """Say why we end; the text must be fit for a log."""
        if self._descriptor is not None:
            os.pwrite(self._descriptor, sentence.encode()[:MAX_WORDS_BYTES], _BEAT.size)

    # the supervisor's side

    def clear(self) -> None:
        """Forget what a process before said."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)

    def last_beat(self) -> float | None:
        """When it last beat; None: it is not ready yet."""
        said = os.pread(self._descriptor, _BEAT.size, 0) if self._descriptor is not None else b""
        beat = _BEAT.unpack(said)[0] if len(said) == _BEAT.size else 0.0
        return beat or None

    def words(self) -> str:
        """Its last words; empty if there are none."""
        if self._descriptor is None:
            return ""
        return os.pread(self._descriptor, MAX_WORDS_BYTES, _BEAT.size).decode(errors="replace").strip("\0 \n")
