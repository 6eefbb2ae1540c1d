"""Which nonce comes next, whether a requested one may be used, and whose word on the counts is believed. [pure]"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chains.errors import NonceInFlight, NonceSkips, NonceUsed

# So many transactions may have come from elsewhere with the same key before an endpoint's count is doubted
SLACK: Final = 16


@dataclass(frozen=True, slots=True)
class Counts:
    """What an endpoint says of an account: `mined` counts the blocks' transactions, `pending` its pool's too."""

    mined: int
    pending: int

    @property
    def next(self) -> int:
        """The next nonce by this word; a pool that lags behind its own blocks is no reason to use a nonce twice."""
        return max(self.mined, self.pending)


def next_nonce(tracked: int, pending: int) -> int:
    """The next free nonce: what we gave out counts, and so does what others sent with the same key."""
    return max(tracked, pending)


def is_believable(said: Counts, tracked: int) -> bool:
    """Is nothing of it more than `SLACK` above what is mined and ours in flight?

    `tracked` is our own next nonce, above everything of ours; the mined count comes from the same endpoint as the
    pending one, so it is held against ours too.
    """
    return said.mined <= tracked + SLACK and said.next <= max(tracked, said.mined) + SLACK


def is_supported(said: Counts, tracked: int, ours: int) -> bool:
    """Does the chain, with `ours` nonces from the mined count on taken by us, come within `SLACK` of our tracker?"""
    return tracked <= max(said.next, said.mined + ours) + SLACK


def all_the_same(said: Sequence[int]) -> bool:
    """Do two endpoints at least answer, and all of them the same?"""
    return len(said) > 1 and len(set(said)) == 1


def choose(first: Counts, said: Sequence[Counts], tracked: int) -> Counts | None:
    """The counts to go by: `first` where it is believable, else the lowest believable of all, else what all say.

    None where nobody's word is believable and they do not say the same.
    """
    if is_believable(first, tracked):
        return first
    believable = [each for each in said if is_believable(each, tracked)]
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
