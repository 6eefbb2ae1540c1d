"""Who hangs, and who was only held up together with everybody else."""

from talon.hangs import START_S, STOPPED_S, Watched, hangs


def watched(stopped: float | None = None, seen: float | None = 100.0) -> Watched:
    return Watched(started_at=50, stopped_since=stopped, seen_at=seen, bound_s=15)


def test_one_that_beats_is_well() -> None:
    assert hangs(watched(), 114, 0, 1) is None


def test_one_that_is_silent_hangs_later_on_a_slow_machine() -> None:
    assert hangs(watched(), 115, 0, 1) == "hangs"
    assert hangs(watched(), 115, 0, 3) is None
    assert hangs(watched(), 145, 0, 3) == "hangs"


def test_a_stopped_one_is_found_within_seconds_however_slow_the_machine_is() -> None:
    assert hangs(watched(stopped=110), 110 + STOPPED_S - 1, 0, 50) is None
    assert hangs(watched(stopped=110), 110 + STOPPED_S, 0, 50) == "is stopped"


def test_one_that_never_gets_ready() -> None:
    assert hangs(watched(seen=None), 50 + START_S - 1, 0, 1) is None
    assert hangs(watched(seen=None), 50 + START_S, 0, 1) == "does not get ready"


def test_nobody_is_blamed_for_a_time_in_which_the_supervisor_was_held_up_too() -> None:
    for child in (watched(), watched(stopped=60), watched(seen=None)):
        assert hangs(child, 10_000, 0, 1) is not None
        assert hangs(child, 10_000, 9_999, 1) is None
