"""What is tried again, how soon, and what is not."""

from talon.restarts import HOPELESS, MAX_PAUSE_S, History


def early(history: History, *, lasting: bool = False) -> History:
    return history.after(ready_for_s=None, lasting=lasting)


def test_what_may_pass_is_tried_again_with_growing_pauses_without_limit() -> None:
    history, pauses = History(), []
    for _ in range(1000):
        history = early(history)
        assert not history.hopeless
        pauses.append(history.pause_s)
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert pauses[-1] == MAX_PAUSE_S


def test_what_waiting_does_not_mend_ends_it_at_the_fifth_time_within_a_minute() -> None:
    history, waited = History(), 0.0
    for _ in range(HOPELESS - 1):
        history = early(history, lasting=True)
        assert not history.hopeless
        waited += history.pause_s
    assert early(history, lasting=True).hopeless
    assert waited < 60 / 2


def test_a_cause_that_may_pass_in_between_begins_the_count_anew() -> None:
    history = History()
    for _ in range(HOPELESS - 1):
        history = early(history, lasting=True)
    history = early(early(history), lasting=True)
    assert not history.hopeless


def test_one_that_was_ready_is_started_at_once_and_never_given_up() -> None:
    history = History(early=9, lasting=4).after(ready_for_s=3600, lasting=True)
    assert history == History()
    for _ in range(50):
        # ready and gone, again and again: not well, but it may pass
        history = history.after(ready_for_s=1, lasting=True)
        assert not history.hopeless
    assert history.pause_s == MAX_PAUSE_S


def test_what_does_harm_is_not_tried_twice() -> None:
    assert History().after(ready_for_s=None, lasting=True, refused=True).hopeless
