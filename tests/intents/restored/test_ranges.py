import pytest

from intents.restored.ranges import joined, ranges


@pytest.mark.parametrize(
    ("nonces", "right"),
    [
        ([], []),
        ([7], [(7, 7)]),
        ([4, 3, 7, 3], [(3, 4), (7, 7)]),
        (range(5), [(0, 4)]),
    ],
)
def test_ranges_are_as_few_as_can_be(nonces: list[int], right: list[tuple[int, int]]) -> None:
    assert ranges(nonces) == right


@pytest.mark.parametrize(
    ("low", "high", "right"),
    [
        (5, 5, [(5, 6), (9, 9)]),
        (0, 5, [(0, 6), (9, 9)]),
        (0, 4, [(0, 3), (5, 6), (9, 9)]),
    ],
)
def test_older_ones_come_before(low: int, high: int, right: list[tuple[int, int]]) -> None:
    assert joined([(5, 6), (9, 9)], low, high) == right
