"""Does a chain count transactions of an account that we did not sign? Whose word is enough for it. [pure]"""

from collections.abc import Sequence
from enum import StrEnum


class Verdict(StrEnum):
    """What the endpoints' mined counts say of an account, held against what we signed for it."""

    # nobody names a nonce that we did not sign
    WITHIN = "within"
    # somebody else signed with the key
    AHEAD = "ahead"
    # one endpoint says so and as many, or more, say otherwise: it lies, or another lags or lies
    DISPUTED = "disputed"


def judge(said: Sequence[int], unsigned: int) -> Verdict:
    """`said` are the mined counts by each endpoint that answers (one at least), `unsigned` the first nonce we have
    not signed: a count above it says that it is used.

    The only endpoint's word is enough, and two alike in that are: no single one of several stops a wallet, and no
    single one hides from the others' sight that it has to be stopped. A lone word among several is nobody's alone to
    say: it takes proof, which is the transaction itself with the key's own signature.
    """
    ahead = sum(1 for each in said if each > unsigned)
    if not ahead:
        return Verdict.WITHIN
    return Verdict.AHEAD if ahead > 1 or len(said) == 1 else Verdict.DISPUTED


def may_wait(said: Sequence[int], unsigned: int) -> bool:
    """A dispute without proof: is it one word against one? Then nothing says who lies, and the wallet waits.

    Against two or more a single one is outvoted; it could otherwise hold up every wallet of the chain.
    """
    return sum(1 for each in said if each <= unsigned) < 2


def lowest_ahead(said: Sequence[int], unsigned: int) -> int:
    """The count to go by where it is ahead: the lowest of those that are."""
    return min(each for each in said if each > unsigned)
