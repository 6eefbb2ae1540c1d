import pytest

from intents.restored.ranges import gaps


@pytest.mark.parametrize(
    ("low", "high", "found", "right"),
    [
        (3, 3, [], []),
        (3, 4, [], [(3, 3)]),
        (3, 4, [3], []),
        (0, 10, [3, 4, 7], [(0, 2), (5, 6), (8, 9)]),
        (0, 10, [9, 0], [(1, 8)]),
        # what is found elsewhere leaves them as they are
        (5, 8, [1, 8, 9], [(5, 7)]),
        (5, 2**63, [6], [(5, 5), (7, 2**63 - 1)]),
    ],
)
def test_ranges_are_as_few_as_can_be(low: int, high: int, found: list[int], right: list[tuple[int, int]]) -> None:
    assert gaps(low, high, found) == right
