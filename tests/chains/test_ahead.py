import pytest

from chains.ahead import Verdict, judge, lowest_ahead, may_wait


@pytest.mark.parametrize(
    ("said", "unsigned", "right"),
    [
        # 5 mined use nonces 0 to 4: with 5 the first one not signed here, all of them are ours
        ([5], 5, Verdict.WITHIN),
        ([0, 5], 5, Verdict.WITHIN),
        ([6], 5, Verdict.AHEAD),
        ([6, 7], 5, Verdict.AHEAD),
        # two say so: a third one that lags or lies hides nothing
        ([6, 0, 9], 5, Verdict.AHEAD),
        ([6, 5], 5, Verdict.DISPUTED),
        ([5, 5, 5, 2**63 - 1], 5, Verdict.DISPUTED),
    ],
)
def test_one_of_several_neither_stops_a_wallet_nor_hides_it(said: list[int], unsigned: int, right: Verdict) -> None:
    assert judge(said, unsigned) is right


@pytest.mark.parametrize(("said", "right"), [([6, 5], True), ([6, 5, 5], False), ([6, 5, 4, 3], False)])
def test_only_one_word_against_one_is_waited_for(said: list[int], right: bool) -> None:
    assert may_wait(said, 5) is right


def test_the_lowest_of_those_that_are_ahead_counts() -> None:
    assert lowest_ahead([3, 9, 6], 5) == 6
