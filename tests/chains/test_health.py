import logging

import pytest

from chains.health import COOL_DOWN_S, MAX_COOL_DOWN_S, Health


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("chains.health.time.monotonic", clock)
    return clock


def test_it_is_left_alone_longer_and_longer_and_logged_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    health = Health("http://node")
    pauses = []
    for _ in range(8):
        health.failed("http://node does not answer")
        health.failed("http://node does not answer")  # another caller of the same moment
        began = clock.now
        while not health.is_due:
            clock.now += 1
        pauses.append(clock.now - began)
    assert pauses[0] == COOL_DOWN_S
    assert pauses == sorted(pauses)
    assert pauses[-2:] == [MAX_COOL_DOWN_S] * 2
    health.answered()
    assert not health.is_out
    clock.now += 2 * MAX_COOL_DOWN_S
    health.answered()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "does not answer" in caplog.messages[0]
    assert caplog.messages[1] == "http://node answers again"


def test_one_that_answers_and_fails_in_turns_fills_no_log(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    health = Health("http://node")
    for _ in range(50):
        health.failed("http://node answers nonsense")
        assert health.is_out
        clock.now += 7
        health.answered()
        assert not health.is_out
    assert len(caplog.records) == 1


def test_who_tries_it_tries_it_alone(clock: Clock) -> None:
    health = Health("http://node")
    health.failed("http://node does not answer")
    clock.now += COOL_DOWN_S
    assert health.is_due
    health.probing(10)
    assert not health.is_due
    clock.now += 10
    assert health.is_due
