"""Who is next [pure]: one of each place in turn, and of those known here and those not, in turn too.

However many wait from one place, everybody else waits for one of them at a time; and who has had no turn yet, or
whose last one is longest ago, goes before those who come again and again.
"""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

from vault.auth.origin import Place

MAX_REMEMBERED = 10_000

T = TypeVar("T")


class Turns(Generic[T]):
    """Lines of waiting items, one a place; at most `most_of_a_place` in one and `most` in all, of each kind."""

    def __init__(self, *, most_of_a_place: int, most: int) -> None:
        self._most_of_a_place, self._most = most_of_a_place, most
        self._known: dict[str, deque[T]] = {}
        self._strangers: dict[str, deque[T]] = {}
        self._was_known = False
        # of each place that had a turn, the number of its last; the longest ago first
        self._turns: OrderedDict[str, int] = OrderedDict()
        self._count = 0

    def add(self, place: Place, item: T) -> T | None:
        """Put an item last in its place's line; returns the one there is no room for: none, it, or another's."""
        lines = self._known if place.is_known else self._strangers
        mine = len(lines.get(place.name, ()))
        if mine >= self._most_of_a_place:
            return item
        turned_away = None
        if sum(len(line) for line in lines.values()) >= self._most:
            longest = max(lines, key=lambda name: (len(lines[name]), self._last(name)))
            if len(lines[longest]) <= mine + 1 and self._last(longest) <= self._last(place.name):
                return item
            turned_away = lines[longest].pop()
            if not lines[longest]:
                del lines[longest]
        lines.setdefault(place.name, deque()).append(item)
        return turned_away

    def next(self) -> T | None:
        """Whose turn it is; None when nobody waits."""
        # neither kind can starve the other
        both = (self._strangers, self._known) if self._was_known else (self._known, self._strangers)
        lines = both[0] or both[1]
        if not lines:
            return None
        self._was_known = lines is self._known
        # of several without a turn, whoever came first
        name = min(lines, key=self._last)
        self._remember(name)
        line = lines.pop(name)
        item = line.popleft()
        if line:
            # to the end
            lines[name] = line
        return item

    def _last(self, name: str) -> int:
        return self._turns.get(name, 0)

    def _remember(self, name: str) -> None:
        self._count += 1
        self._turns.pop(name, None)
        self._turns[name] = self._count
        if len(self._turns) > MAX_REMEMBERED:
            self._turns.popitem(last=False)
