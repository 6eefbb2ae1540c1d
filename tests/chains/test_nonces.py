import pytest

from chains.errors import BadNonce, NonceInFlight, NonceSkips, NonceUsed
from chains.nonces import SLACK, Counts, Known, check_explicit, choose, is_believable, is_supported, next_nonce


@pytest.mark.parametrize(("tracked", "pending", "expected"), [(0, 0, 0), (5, 3, 5), (3, 5, 5), (4, 4, 4)])
def test_next(tracked: int, pending: int, expected: int) -> None:
    assert next_nonce(tracked, pending) == expected


@pytest.mark.parametrize("nonce", [3, 4, 5])
def test_holes_and_the_next_free_one_may_be_used(nonce: int) -> None:
    check_explicit(nonce, next_nonce=5, mined=3, occupied=False)


@pytest.mark.parametrize(
    ("nonce", "occupied", "error"),
    [
        (2, False, NonceUsed),
        (2, True, NonceUsed),
        (3, True, NonceInFlight),
        (5, True, NonceInFlight),
        (6, False, NonceSkips),
        (2**64 - 2, False, NonceSkips),
    ],
)
def test_refused_with_the_next_free_one_named(nonce: int, occupied: bool, error: type[BadNonce]) -> None:
    with pytest.raises(error, match="next free one is 5"):
        check_explicit(nonce, next_nonce=5, mined=3, occupied=occupied)


@pytest.mark.parametrize(
    ("mined", "pending", "known", "right"),
    [
        (0, 0, Known(0), True),
        (0, 16, Known(0), True),
        # one that is never seen mined, below many that were
        (68, 68, Known(68, (50,), tuple(range(50, 68)), 68), True),
        (91, 91, Known(91, (50,), tuple(range(50, 91)), 91), True),
        (91, 93, Known(93, (50, 91, 92), tuple(range(50, 93)), 91), True),
        (108, 108, Known(91, (50,), tuple(range(50, 91)), 91), False),
        (0, 17, Known(0), False),
        (0, 4_000_000_000, Known(0), False),
        # ours in flight count, and what is in blocks and has fillers where it was read
        (100, 300, Known(300, range(100, 300)), True),
        (100, 316, Known(300, range(100, 300)), True),
        (100, 317, Known(300, range(100, 300)), False),
        (100, 316, Known(300, [], range(100, 300)), True),
        # a tracker that ours do not account for is no measure: the lie before led it up
        (0, 33, Known(17, [16]), False),
        (0, 17, Known(17, [16]), True),
        (100, 300, Known(300), False),
        # the mined count is only a word as well
        (4_000_000_000, 4_000_000_000, Known(0), False),
        (17, 17, Known(0), False),
        (16, 16, Known(0), True),
        (16, 33, Known(0), False),
        # it goes on above ours only once ours are seen in blocks
        (50, 50, Known(34, [16, 33]), False),
        (50, 50, Known(34, [], [16, 33]), True),
        (30, 30, Known(20, range(10, 20)), True),
        # a pool that lags behind its blocks
        (5, 0, Known(5), True),
        (0, 0, Known(5), True),
    ],
)
def test_believable(mined: int, pending: int, known: Known, right: bool) -> None:
    assert is_believable(Counts(mined, pending), known) is right


@pytest.mark.parametrize("field", ["pending", "mined"])
def test_lies_within_the_slack_lead_no_further_one_after_the_other(field: str) -> None:
    """Each is 16 above the tracker that the one before led up; no transaction of ours is ever mined."""
    known = Known(0)
    for _ in range(100):
        highest = known.tracked + SLACK
        lie = Counts(highest if field == "mined" else 0, highest)
        next_ = highest if is_believable(lie, known) else known.tracked
        known = Known(next_ + 1, [*known.in_flight, next_])
    # what is left over are our own: whoever counts them finds no more than the slack between
    assert known.tracked - len(known.in_flight) <= 2 * SLACK


LIE, SOUND, LAGGING, OTHER_LIE = Counts(3, 4_000_000_000), Counts(3, 3), Counts(2, 2), Counts(3, 5_000_000_000)


@pytest.mark.parametrize(
    ("first", "said", "right"),
    [
        (SOUND, [], SOUND),
        (LIE, [LIE], None),
        (LIE, [], None),
        (LIE, [LIE, SOUND], SOUND),
        (LIE, [LIE, OTHER_LIE, SOUND], SOUND),
        (LIE, [LIE, SOUND, LAGGING], LAGGING),
        (LIE, [LIE, OTHER_LIE], None),
        (LIE, [LIE, LIE], LIE),
        (LIE, [LIE, LIE, OTHER_LIE], None),
    ],
)
def test_the_lowest_believable_answer_counts(first: Counts, said: list[Counts], right: Counts | None) -> None:
    assert choose(first, said, Known(3)) == right


@pytest.mark.parametrize(
    ("said", "tracked", "ours", "right"),
    [
        (Counts(0, 0), 16, 0, True),
        (Counts(0, 0), 17, 0, False),
        (Counts(0, 0), 500, 484, True),
        (Counts(0, 0), 500, 483, False),
        # a pool's word is no support
        (Counts(0, 490), 500, 0, False),
        (Counts(0, 0), 4_000_000_001, 1, False),
    ],
)
def test_a_tracker_far_above_the_chain(said: Counts, tracked: int, ours: int, right: bool) -> None:
    assert is_supported(said, tracked, ours) is right
