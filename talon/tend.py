"""The supervisor's round: who ended is started again, who hangs is replaced, and what is known is said to the API.

It sleeps until something happens: a child that ends or is stopped wakes it (SIGCHLD), else the next thing to do.
Times in seconds.
"""

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

from talon.asking import DiskWatch
from talon.hangs import LATE_S, hangs
from talon.processes import Part
from vault.health.host import Host, write

CHECK_S = 2.0


class ChildKeepsDying(Exception):  # noqa: N818 - what the supervisor says on its last line
    """A child cannot run, for a cause that waiting does not mend; the text is its last sentence."""


class Tender:
    """Keeps the parts of one instance alive. `say` gets the lines for the operator."""

    def __init__(self, home: Path, pids: Path, say: Callable[[str], None]) -> None:
        self._say, self._pids = say, pids
        self.parts: list[Part] = []
        self._disk = DiskWatch(home)
        # API processes read what we know here: it is no file, because the disk may be what is wrong
        self.report = os.memfd_create("talon-host")
        # it comes open to all: whoever has it for reading could open it again for writing, by /proc
        os.fchmod(self.report, 0o600)
        self._check_at = 0.0
        self._excused_at = time.monotonic()
        self._unsaid = True
        self._bell, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        # a handler, so that the kernel does not leave the signal out
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def launch(self, part: Part) -> None:
        """Start it, and keep it alive from now on."""
        self.parts.append(part)
        part.start()
        self._changed()

    def adopt(self, part: Part) -> None:
        """Keep one alive that runs already."""
        self.parts.append(part)
        self._changed()

    def tend(self, at_most_s: float = CHECK_S) -> None:
        """One round, and then the sleep until the next; ChildKeepsDying when there is no point in going on."""
        now = time.monotonic()
        changed = False
        for part in self.parts:
            if (status := part.died()) is not None:
                self._bury(part, status)
                changed = True
            if part.restart_at is not None and part.restart_at <= now:
                part.restarts += 1
                part.start()
                changed = True
        if now >= self._check_at:
            self._check(now)
            self._check_at = now + CHECK_S
        if changed or self._unsaid:
            self._changed()
        self._sleep(at_most_s)

    def _bury(self, part: Part, status: int) -> None:
        part.bury(status)
        if part.history.hopeless:
            raise ChildKeepsDying(f"{part.name} cannot run: {part.ended}")
        if part.ready_at is None or part.history.early > 1:
            again = f"trying again in {part.history.pause_s:.1f} s"
            self._say(f"{part.name} ended before it was ready: {part.ended}; {again}")
        else:
            self._say(f"{part.name} ended: {part.ended}; starting it again")

    def _check(self, now: float) -> None:
        slowness = 1 + os.getloadavg()[0] / (os.cpu_count() or 1)
        for part in self.parts:
            if part.pid is None:
                continue
            how = hangs(part.watched(now), now, self._excused_at, slowness)
            if how is not None and part.replace(now):
                self._say(f"{part.name} {how}; replacing it")
        self._write_report()

    def _sleep(self, at_most_s: float) -> None:
        now = time.monotonic()
        starts = [part.restart_at for part in self.parts if part.restart_at is not None]
        wake_at = min([self._check_at, now + at_most_s, *starts])
        select.select([self._bell], [], [], max(0.0, wake_at - now))
        with contextlib.suppress(BlockingIOError):
            while os.read(self._bell, 512):
                pass
        woken_at = time.monotonic()
        # we were held up (a suspended or overloaded machine), so everybody was: their silence says nothing
        if woken_at - wake_at > LATE_S:
            self._excused_at = woken_at

    def _changed(self) -> None:
        self._unsaid = not self._write_pids()
        self._write_report()

    def _write_pids(self) -> bool:
        pids: dict[str, list[int]] = {"supervisor": [os.getpid()]}
        for part in self.parts:
            if part.pid is not None:
                pids.setdefault(part.name.split("-")[0], []).append(part.pid)
        fresh = self._pids.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(pids))
            fresh.rename(self._pids)
        except OSError:
            # for people only; tried again while the disk is full
            return False
        return True

    def _write_report(self) -> None:
        disk = self._disk.last
        down = [part for part in self.parts if part.pid is None and part.history.early > 0]
        up = {role_of(part) for part in self.parts if part.pid is not None}
        said = {part: f"{part.name} does not start ({part.trouble}); it is tried again." for part in down}
        reasons = [sentence for part, sentence in said.items() if role_of(part) not in up | {"anvil"}]
        notes = [sentence for part, sentence in said.items() if role_of(part) in up | {"anvil"}]
        host = Host(
            reasons=tuple(filter(None, (disk.reason, *reasons))),
            notes=tuple(filter(None, (disk.note, *notes))),
            restarts={part.name: part.restarts for part in self.parts},
            disk_free=disk.free,
            disk_size=disk.size,
            at=time.monotonic(),
        )
        write(self.report, host)


def role_of(part: Part) -> str:
    """What kind of process it is: there may be several of a kind."""
    return part.name.split("-")[0]
