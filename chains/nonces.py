"""Which nonce comes next, whether a requested one may be used, and whose word on the counts is believed. [pure]"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chains.errors import NonceInFlight, NonceSkips, NonceUsed

# So many transactions may have come from elsewhere with the same key before an endpoint's count is doubted
SLACK: Final = 16
# What was left behind so far above the tracker gets its filler: the next nonce may be the slack above the tracker,
# behind what is pending from elsewhere, and nothing may be left open for the slack above that
AHEAD: Final = 2 * SLACK


@dataclass(frozen=True, slots=True)
class Counts:
    """What an endpoint says of an account: `mined` counts the blocks' transactions, `pending` its pool's too."""

    mined: int
    pending: int

    @property
    def next(self) -> int:
        """The next nonce by this word; a pool that lags behind its own blocks is no reason to use a nonce twice."""
        return max(self.mined, self.pending)


@dataclass(frozen=True, slots=True)
class Known:
    """A wallet as we know it without asking the chain: the tracker, and our own nonces.

    `in_flight` are those of transactions that wait for a block, `taken` all that transactions of ours have; where the
    latter were not read, those in flight have to do. `settled` is what the chain must have counted at least: one more
    than the highest nonce of ours that was seen in a block or used up. `newest_at` is when the newest of ours that is
    not settled was signed, by the database's clock.
    """

    tracked: int
    in_flight: Sequence[int] = ()
    taken: Sequence[int] | None = None
    settled: int = 0
    newest_at: datetime | None = None

    def ours_from(self, nonce: int) -> int:
        """How many of ours have this nonce or a higher one (at least)."""
        return sum(1 for each in (self.in_flight if self.taken is None else self.taken) if each >= nonce)

    @property
    def may_be_mined(self) -> int:
        """The highest count that the blocks can have by now if nobody else uses the key."""
        # one that is never seen mined (its receipt cannot be read, say) says nothing of those that were, above it
        above = [each for each in self.in_flight if each >= self.settled]
        return max(min((*self.in_flight, self.tracked)) + len(self.in_flight), self.settled + len(above))


def next_nonce(tracked: int, pending: int) -> int:
    """The next free nonce: what we gave out counts, and so does what others sent with the same key."""
    return max(tracked, pending)


def is_believable(said: Counts, known: Known) -> bool:
    """Is nothing of it more than `SLACK` above what is mined and ours in flight?

    The tracker alone is no measure: the word before may have led it up, and each further one would again be near it.
    So ours are counted; the mined count comes from the same endpoint, and is held against them too.
    """
    accounted = min(known.tracked, said.mined + known.ours_from(said.mined))
    return said.mined <= known.may_be_mined + SLACK and said.next <= max(said.mined, accounted) + SLACK


def is_supported(said: Counts, tracked: int, ours: int) -> bool:
    """Does the chain, with `ours` nonces from the mined count on taken by us, come within `SLACK` of our tracker?

    What a pool is said to hold supports nothing: whoever led the tracker up would say that it is right.
    """
    return tracked <= said.mined + ours + SLACK


def all_the_same(said: Sequence[int]) -> bool:
    """Do two endpoints at least answer, and all of them the same?"""
    return len(said) > 1 and len(set(said)) == 1


def choose(first: Counts, said: Sequence[Counts], known: Known) -> Counts | None:
    """The counts to go by: `first` where it is believable, else the lowest believable of all, else what all say.

    None where nobody's word is believable and they do not say the same.
    """
    if is_believable(first, known):
        return first
    believable = [each for each in said if is_believable(each, known)]
    if believable:
        return min(believable, key=lambda each: each.next)
    if all_the_same([each.next for each in said]):
        return min(said, key=lambda each: each.mined)
    return None


def check_explicit(nonce: int, next_nonce: int, mined: int, occupied: bool) -> None:
    """Pass a requested nonce that is the next free one, or fills a hole below it.

    `mined` is the chain's count at its latest block; `occupied` says that a transaction of ours which may still be
    mined has this nonce. NonceUsed, NonceInFlight or NonceSkips otherwise.
    """
    if nonce < mined:
        raise NonceUsed(f"nonce {nonce} is used already; the next free one is {next_nonce}")
    if occupied:
        raise NonceInFlight(f"nonce {nonce} belongs to a transaction in flight; the next free one is {next_nonce}")
    if nonce > next_nonce:
        raise NonceSkips(f"nonce {nonce} skips; the next free one is {next_nonce}")
