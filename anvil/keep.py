"""Keep the local chain going for weeks: make its blocks, save its state, begin its process anew before it is large.

anvil holds every block, receipt and trace in memory for ever, and its own way of saving rewrites all of that each
second, whatever happened. So it runs without mining or saving of its own as a child of this process, which makes the
blocks (`anvil.mining`), saves what changed, and replaces it with a fresh one that loads a shortened state
(`anvil.history`) when its memory passes a bound. Run as `python -m anvil.keep BINARY PORT DIRECTORY`; ends with
status 1 when anvil ends, with 0 at SIGTERM or SIGINT, and anvil with it in any case. Standard library only; seconds,
bytes.
"""

import argparse
import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

from anvil import chain
from anvil.errors import AnvilError
from anvil.history import MAX_STATES, shorten
from anvil.mining import BLOCK_TIME_S, LIVELY_S, Pace
from anvil.rpc import call
from anvil.state_file import StateFile

# begun anew at a quiet moment above this, and above twice this at any moment
MEMORY = 96 * 2**20
QUIET_S = 5.0
# a large state is saved less often, so that saving takes a tenth of the time at most
SAVING_SHARE = 0.1
# a dump with the states of older blocks takes long when there are many accounts; then it goes without
HISTORY_TIMEOUT_S = 3.0
MAX_PACKED_HISTORY = 16 * 2**20
# a block may hold thousands of transactions
MINING_TIMEOUT_S = 60.0
MAX_FAILURES = 3
# so often more is waited for senders who do not pause
MAX_LATE = 10
# after a disk that took nothing
ANEW_PAUSE_S = 5.0
PORT_TIMEOUT_S = 5.0


class Keeper:
    """One local chain on `port`, with its state in `directory`."""

    def __init__(self, binary: Path, port: int, directory: Path, memory: int = MEMORY) -> None:
        self.binary, self.port, self.memory = binary, port, memory
        self.url = f"http://127.0.0.1:{port}"
        self.saved = StateFile(directory)
        self.stopping = Event()
        self.process: subprocess.Popen[bytes] | None = None
        # what the memory may come to: more than asked for when the accounts alone take that much
        self.bound = memory
        self.pace = Pace(time.monotonic(), time.monotonic())
        self.quiet_since = self.save_after = self.anew_after = time.monotonic()
        self.saved_head: str | None = None
        self.failures = 0

    def run(self) -> int:
        """Until told to stop (0) or until anvil ends (1); AnvilError when it does not start."""
        try:
            with self.saved.unpacked(self._load()) as loaded:
                self._start(loaded)
            self.pace = Pace(time.monotonic() + LIVELY_S, time.monotonic())
            while not self.stopping.wait(BLOCK_TIME_S):
                if self._is_lost():
                    return 1
                try:
                    self._round(time.monotonic())
                    self.failures = 0
                except (OSError, AnvilError) as error:
                    self.failures += 1
                    say(f"the local chain: {error}")
            self._save(self._dump_with_history())
            return 0
        finally:
            self._end()

    def _is_lost(self) -> bool:
        """Whether anvil died, was stopped, or does not answer any more."""
        if self.process is None:
            # it did not come back when it was begun anew
            return True
        return self.process.poll() is not None or self.failures >= MAX_FAILURES or _is_halted(self.process.pid)

    def _round(self, now: float) -> None:
        """Make a block if it is time, save if there is something new, and see to the memory."""
        waiting = self._waiting()
        if waiting:
            self.quiet_since = now
        # whoever chooses another way of mining has it
        if self._mining() == (None, False) and self.pace.is_due(now, waiting):
            call(self.url, "evm_mine", timeout_s=MINING_TIMEOUT_S)
        head = call(self.url, "eth_getBlockByNumber", "latest", False)["hash"]
        if head != self.saved_head and now >= self.save_after:
            began = time.monotonic()
            self._save(self._dump())
            self.saved_head = head
            self.save_after = time.monotonic() + (time.monotonic() - began) / SAVING_SHARE
        assert self.process is not None
        taken = _resident(self.process.pid)
        is_quiet = now - self.quiet_since >= QUIET_S
        if now >= self.anew_after and (taken > 2 * self.bound or (taken > self.bound and is_quiet)):
            self._begin_anew()

    def _waiting(self) -> int:
        """How many transactions could be in the next block."""
        return int(call(self.url, "txpool_status")["pending"], 16)

    def _begin_anew(self) -> None:
        """The same chain in a fresh process. Of what anvil took only what waits for a gap to close is lost."""
        interval, automatic = self._mining()
        ahead = int(call(self.url, "evm_increaseTime", 0))
        if interval is not None or automatic:
            # no block between the dump and the end
            call(self.url, "evm_setAutomine", False)
            call(self.url, "evm_setIntervalMining", 0)
        dumped = self._dump_with_history()
        for _ in range(MAX_LATE):
            if not self._waiting():
                break
            # it came meanwhile
            call(self.url, "evm_mine", timeout_s=MINING_TIMEOUT_S)
            dumped = self._dump_with_history()
        state = shorten(json.loads(gzip.decompress(dumped)))
        self._save(gzip.compress(json.dumps(state, separators=(",", ":")).encode(), 6))
        with contextlib.ExitStack() as stack:
            try:
                loaded = stack.enter_context(self.saved.unpacked(state))
            except OSError as error:
                # before the end, because a disk that takes nothing would make it one
                self.anew_after = time.monotonic() + ANEW_PAUSE_S
                say(f"the local chain is not begun anew: {error.strerror}")
            else:
                self._end()
                self._start(loaded)
                if ahead:
                    call(self.url, "evm_increaseTime", ahead)
        if automatic:
            call(self.url, "evm_setAutomine", True)
        if interval is not None:
            call(self.url, "evm_setIntervalMining", interval)

    def _mining(self) -> tuple[int | None, bool]:
        """Whether somebody asked anvil to mine by itself: every so many seconds, or at once."""
        return call(self.url, "anvil_getIntervalMining"), bool(call(self.url, "anvil_getAutomine"))

    def _load(self) -> dict[str, Any] | None:
        try:
            state = self.saved.read()
            return None if state is None else shorten(state)
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise AnvilError(
                f"the local chain's state in {self.saved.directory} cannot be read ({type(error).__name__}): "
                "put it back, or remove it to begin a new chain"
            ) from None

    def _start(self, loaded: Path | None) -> None:
        deadline = time.monotonic() + PORT_TIMEOUT_S
        while True:
            try:
                chain.check_port(self.port)
                break
            except AnvilError:
                # the one before us may be about to end
                if time.monotonic() > deadline or self.stopping.wait(0.05):
                    raise
        self.process = chain.start(self.binary, self.port, block_time_s=None, keep_states=MAX_STATES, loads=loaded)
        self.bound = max(self.memory, 2 * _resident(self.process.pid))

    def _end(self) -> None:
        """At once: what it should leave behind was dumped."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def _dump(self) -> bytes:
        return _packed(call(self.url, "anvil_dumpState"))

    def _dump_with_history(self) -> bytes:
        try:
            packed = _packed(call(self.url, "anvil_dumpState", True, timeout_s=HISTORY_TIMEOUT_S))
        except TimeoutError:
            return self._dump()
        return packed if len(packed) <= MAX_PACKED_HISTORY else self._dump()

    def _save(self, packed: bytes) -> None:
        """A disk that takes nothing more is no reason to stop the chain: it goes on, and is saved later."""
        try:
            self.saved.write(packed)
        except OSError as error:
            say(f"the local chain is not saved: {error.strerror}")


def say(line: str) -> None:
    """A line in the log, if the disk takes it."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _packed(dumped: str) -> bytes:
    return bytes.fromhex(dumped.removeprefix("0x"))


def _resident(pid: int) -> int:
    """Bytes of memory that a process holds; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _is_halted(pid: int) -> bool:
    """Whether somebody stopped the process without ending it (SIGSTOP)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="anvil.keep")
    parser.add_argument("binary", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--memory", type=int, default=MEMORY, help="bytes at which anvil's process is begun anew")
    asked = parser.parse_args()
    keeper = Keeper(asked.binary, asked.port, asked.directory, asked.memory)

    def stop(_number: int, _frame: FrameType | None) -> None:
        keeper.stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        sys.exit(keeper.run())
    except AnvilError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
