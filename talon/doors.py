"""How many connections the API holds, whose, and for how long without a request. Times in seconds.

Whoever connects is let in; where there is no room, the connection that has waited longest without a whole request is
closed for it, first of the same address, then of addresses that nobody has proved to be somebody from. So connections
that say nothing, or say it slowly, shut nobody out. What is being worked on is never closed.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from vault.auth.client_address import Network, canonical, group_of, within
from vault.auth.recent import Recent

# from a connection's begin, or a request's first byte, to the end of its headers
HEAD_S = 20.0
# a body has so long until its pace counts; then it must have come at so many bytes a second, all in all
BODY_GRACE_S = 10.0
BODY_PACE = 512
# a client that does not take what we send, and one that does not let us hang up
STUCK_S = 20.0
SWEEP_S = 1.0
LOG_S = 60.0
# an address with fewer connections has hardly any: the last places are for such
FEW = 8

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Rooms:
    """How many connections at most: in all, how many of these for known addresses alone, and of one address."""

    most: int
    reserve: int
    of_an_address: int
    of_a_known_address: int

    @property
    def last(self) -> int:
        """How many are for addresses with hardly any: so no few addresses, however known, can fill the house."""
        return self.most // 16


def rooms(most: int, of_an_address: int, descriptors: int) -> Rooms:
    """What the operator chose, as far as the process may open that many files."""
    # databases, signers, chains and logs need some too
    most = max(16, min(most, descriptors - 256))
    return Rooms(most, most // 4, min(of_an_address, most // 2), min(4 * of_an_address, most * 3 // 4))


class Guest(Protocol):
    """A connection, as the keeper sees it."""

    def overdue(self, now: float) -> str | None:
        """Why it must go now; None while it may stay."""

    def hang_up(self, reason: str) -> None:
        """Close at once."""


@dataclass(frozen=True)
class _Entry:
    group: str
    is_known: bool


class Doorkeeper:
    """One per process. A guest waits until a whole request of it is there, and again after the answer."""

    def __init__(
        self,
        room: Rooms,
        recent: Recent,
        proxies: tuple[Network, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._room, self._recent, self._proxies, self.clock = room, recent, proxies, clock
        self._guests: dict[Guest, _Entry] = {}
        self._of_group: Counter[str] = Counter()
        self._strangers = 0
        # of each address, and of all unknown ones: who has waited longest is first
        self._waiting: dict[str, OrderedDict[Guest, None]] = {}
        self._waiting_strangers: OrderedDict[Guest, None] = OrderedDict()
        self._closed: Counter[str] = Counter()
        self._log_again_at = 0.0
        self._sweeping = False

    def admit(self, guest: Guest, peer: str | None) -> bool:
        """Let a new connection in, if need be in another's place; False when nobody can go."""
        self._sweep_later()
        address = canonical(peer or "")
        is_proxy = address is not None and within(address, self._proxies)
        group, is_known = group_of(address), is_proxy or self._recent.knows(address)
        bound = self._room.of_a_known_address if is_known else self._room.of_an_address
        if not is_proxy and self._of_group[group] >= bound and not self._close_first(self._waiting.get(group)):
            return self._refuse()
        # the reserve is for those we know, and the last places for those who have hardly any
        last = self._room.last if self._of_group[group] >= FEW else 0
        is_full = len(self._guests) >= self._room.most - last
        is_full = is_full or (not is_known and self._strangers >= self._room.most - self._room.reserve)
        if is_full and not self._close_first(self._waiting_strangers or self._longest_line()):
            return self._refuse()
        self._guests[guest] = _Entry(group, is_known)
        self._of_group[group] += 1
        self._strangers += 0 if is_known else 1
        self.waits(guest)
        return True

    def waits(self, guest: Guest) -> None:
        """It has no whole request with us from now on."""
        if entry := self._guests.get(guest):
            self._waiting.setdefault(entry.group, OrderedDict())[guest] = None
            if not entry.is_known:
                self._waiting_strangers[guest] = None

    def is_served(self, guest: Guest) -> None:
        """A whole request of it is there."""
        if entry := self._guests.get(guest):
            self._waiting_strangers.pop(guest, None)
            line = self._waiting.get(entry.group)
            if line is not None:
                line.pop(guest, None)
                if not line:
                    del self._waiting[entry.group]

    def left(self, guest: Guest) -> None:
        """Its connection is over."""
        self.is_served(guest)
        if (entry := self._guests.pop(guest, None)) is not None:
            self._strangers -= 0 if entry.is_known else 1
            self._of_group[entry.group] -= 1
            if not self._of_group[entry.group]:
                del self._of_group[entry.group]

    def note(self, reason: str) -> None:
        """A connection is closed for a reason of its own."""
        self._closed[reason] += 1
        self._tell()

    def sweep(self) -> None:
        """Close what is overdue."""
        now = self.clock()
        for guest in list(self._guests):
            if (reason := guest.overdue(now)) is not None:
                self._close(guest, reason)
        self._tell()

    def _longest_line(self) -> OrderedDict[Guest, None] | None:
        return max(self._waiting.values(), key=len, default=None)

    def _close_first(self, line: OrderedDict[Guest, None] | None) -> bool:
        if not line:
            return False
        self._close(next(iter(line)), "gave_way")
        return True

    def _close(self, guest: Guest, reason: str) -> None:
        self.left(guest)
        guest.hang_up(reason)
        self.note(reason)

    def _refuse(self) -> bool:
        self.note("no_room")
        return False

    def _tell(self) -> None:
        """One line, and after a while one for all that came meanwhile: never one a connection."""
        if self._closed and self.clock() >= self._log_again_at:
            self._log_again_at = self.clock() + LOG_S
            log.warning("connections closed by us", open=len(self._guests), **self._closed)
            self._closed.clear()

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(SWEEP_S, self._sweep_on, self.clock() + SWEEP_S)

    def _sweep_on(self, due: float) -> None:
        self._sweeping = False
        # a process that stood still has not read what came meanwhile: the silence was its own
        if self.clock() - due < SWEEP_S:
            self.sweep()
        if self._guests or self._closed:
            self._sweep_later()
