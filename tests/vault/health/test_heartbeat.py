"""When a worker counts as alive, whatever the database's clock does."""

from vault.health.heartbeat import SILENT_S, Heartbeat


class Clock:
    """One's own clock, which is never stepped."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_nobody_leads() -> None:
    heart = Heartbeat(Clock())
    assert heart.age_s is None
    heart.look(None, None)
    assert heart.age_s is None


def test_a_leader_that_hangs_grows_old() -> None:
    clock = Clock()
    heart = Heartbeat(clock)
    heart.look("7 noon", 0.5)
    assert heart.age_s == 0.5
    for age_s in (3.5, 6.5, 9.5, 12.5):
        clock.now += 3
        heart.look("7 noon", age_s)
    assert heart.age_s == 12.5 > SILENT_S


def test_one_that_hung_while_nobody_looked_is_no_sign_of_life() -> None:
    clock = Clock()
    heart = Heartbeat(clock)
    heart.look("7 noon", 0.5)
    clock.now += 3600
    heart.look("7 half past noon", 1800)
    assert heart.age_s == 3600.5


def test_a_clock_that_is_stepped_kills_nobody() -> None:
    for step in (86_400.0, -86_400.0):
        clock = Clock()
        heart = Heartbeat(clock)
        heart.look("7 a", 0.5)
        clock.now += 3
        heart.look("7 b", step)
        assert heart.age_s == 0
        clock.now += 3
        heart.look("7 c", step + 1)
        assert heart.age_s == 0
        # but no beat is no beat, in whatever time
        clock.now += SILENT_S
        heart.look("7 c", step + 1 + SILENT_S)
        assert heart.age_s == SILENT_S


def test_a_server_that_keeps_no_record_shows_the_lock_alone() -> None:
    heart = Heartbeat(Clock())
    heart.look("7 ", None)
    assert heart.age_s == 0
