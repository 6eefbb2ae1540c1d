from anvil.mining import BLOCK_TIME_S, IDLE_BLOCK_TIME_S, LIVELY_S, Pace


def mined(pace: Pace, start: float, seconds: int, waiting: int = 0) -> int:
    return sum(pace.is_due(start + tick * BLOCK_TIME_S, waiting) for tick in range(seconds))


def test_a_block_a_second_while_something_waits_and_so_long_behind_it_that_it_is_final() -> None:
    pace = Pace(lively_until=0, mined_at=0)
    assert mined(pace, 1_000, 10, waiting=1) == 10
    assert mined(pace, 1_010, int(LIVELY_S) - 1) == LIVELY_S - 1


def test_hardly_any_while_nothing_happens_and_at_once_when_something_does() -> None:
    pace = Pace(lively_until=0, mined_at=0)
    day = 24 * 3_600
    assert mined(pace, 1_000, day) == day / IDLE_BLOCK_TIME_S
    assert pace.is_due(1_000 + day + 1, waiting=1)
