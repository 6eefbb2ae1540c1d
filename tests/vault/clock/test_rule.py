"""The rule that says how far a clock is believed: each case by itself, and no row of them that gives time away."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.clock.rule import DRIFT, TOLERANCE_S, Kept, Seen, hear, look, take

NOW = 1_800_000_000.0
DAY = 86_400.0
FRESH = Kept(at=NOW - 3, leash=NOW + 7, boot_id=None, boottime_s=0.0, word=None)
BELIEVED = Kept(at=NOW, leash=NOW + 10, boot_id="a", boottime_s=100.0, word="alone")
SURE = Kept(at=NOW, leash=NOW + 10, boot_id="a", boottime_s=100.0, word="block")


def seen(after_s: float, ahead_s: float = 0.0, boot_id: str = "a", took_s: float = 0.0) -> Seen:
    """A look `after_s` seconds after `BELIEVED`, at a clock that is `ahead_s` off."""
    return Seen(NOW + after_s + ahead_s, boot_id, 100.0 + after_s, 100.0 + after_s + took_s)


def test_a_clock_that_agrees_moves_the_leash() -> None:
    kept = look(BELIEVED, seen(5), external=False)
    assert (kept.at, kept.leash, kept.doubt) == (NOW + 5, NOW + 15, None)


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize("step_s", [11.0, DAY, -11.0, -DAY, 365 * DAY])
def test_a_step_while_running_is_doubted_and_the_time_that_passed_goes_on(step_s: float, external: bool) -> None:
    kept = look(SURE, seen(5, step_s), external=external)
    assert kept.doubt == ("ahead" if step_s > 0 else "behind")
    assert (kept.at, kept.leash) == (NOW + 5, NOW + 15)
    for after_s in range(10, 3600, 5):
        kept = look(kept, seen(after_s, step_s), external=external)
        assert kept.doubt is not None
        assert kept.at == NOW + after_s


def test_a_doubt_is_never_old_enough_to_pass_for_drift() -> None:
    kept = look(BELIEVED, seen(5, 60), external=False)
    # the worker was away for ten hours: from a clock in good standing ten minutes would be drift
    assert look(kept, seen(36_000, 60), external=False).doubt == "ahead"


def test_a_step_that_is_undone_is_believed_again() -> None:
    kept = look(BELIEVED, seen(5, DAY), external=False)
    kept = look(kept, seen(3600, 1), external=False)
    assert kept.doubt is None
    assert kept.at == pytest.approx(NOW + 3600, abs=2)


@pytest.mark.parametrize("rate", [0.9 * DRIFT, -0.9 * DRIFT])
def test_a_drift_below_a_second_a_minute_is_taken_over(rate: float) -> None:
    kept = BELIEVED
    for after_s in range(5, 86_400, 5):
        kept = look(kept, seen(after_s, after_s * rate), external=False)
        assert kept.doubt is None
    assert kept.at == pytest.approx(NOW + 86_395 * (1 + rate), abs=2)


@pytest.mark.parametrize("rate", [2 * DRIFT, -2 * DRIFT])
def test_a_faster_one_is_doubted(rate: float) -> None:
    kept = BELIEVED
    for after_s in range(5, 3600, 5):
        kept = look(kept, seen(after_s, after_s * rate), external=False)
    assert kept.doubt is not None


def test_small_steps_one_after_the_other_gain_no_more_than_a_drift() -> None:
    kept, off_s = BELIEVED, 0.0
    for after_s in range(5, 3600, 5):
        off_s += 9.0
        kept = look(kept, seen(after_s, off_s), external=False)
    assert kept.doubt == "ahead"
    assert kept.at <= NOW + 3595 + 3600 * DRIFT


def test_sleep_and_an_absent_worker_are_no_step() -> None:
    kept = look(BELIEVED, seen(9 * 3600, 2), external=False)
    assert kept.doubt is None
    assert kept.leash == pytest.approx(NOW + 9 * 3600 + 12, abs=1)


def test_a_slow_answer_is_no_step() -> None:
    # read at the end of a look that took a minute
    kept = look(BELIEVED, Seen(NOW + 65, "a", 105.0, 165.0), external=False)
    assert kept.doubt is None


def test_at_the_start_the_clock_is_believed_where_no_chain_can_be_asked() -> None:
    kept = look(FRESH, seen(3600, boot_id="b"), external=False)
    assert (kept.at, kept.word, kept.doubt) == (NOW + 3600, "alone", None)
    assert look(BELIEVED, seen(DAY, boot_id="b"), external=False).doubt is None


def test_at_the_start_a_clock_that_went_back_is_not() -> None:
    kept = look(BELIEVED, seen(-3600, boot_id="b"), external=False)
    assert (kept.at, kept.doubt) == (NOW, "behind")
    # put right meanwhile
    kept = look(kept, Seen(NOW + 60, "b", 100.0 - 3600 + 60, 100.0 - 3600 + 60), external=False)
    assert (kept.doubt, kept.word) == (None, "alone")


def test_at_the_start_a_clock_waits_for_the_chains() -> None:
    kept = look(BELIEVED, seen(3 * 3600, boot_id="b"), external=True)
    assert (kept.at, kept.leash, kept.doubt) == (NOW, NOW + 10, "start")
    clock = seen(3 * 3600, boot_id="b")
    assert hear(kept, clock, []).doubt == "silent"
    late = hear(hear(kept, clock, []), clock, [clock.at - 601, clock.at - DAY])
    assert late.doubt == "start"
    later = look(late, seen(3 * 3600 + 60, boot_id="b"), external=True)
    assert (later.at, later.doubt) == (NOW + 60, "start")
    heard = hear(later, seen(3 * 3600 + 60, boot_id="b"), [clock.at - DAY, clock.at - 500])
    assert (heard.at, heard.word, heard.doubt) == (NOW + 3 * 3600 + 60, "block", None)
    # a clock behind the chains is not ahead of them
    assert hear(kept, clock, [clock.at + DAY]).doubt is None


def test_a_step_while_running_is_healed_by_a_block_near_the_clock_alone() -> None:
    stepped = seen(5, DAY)
    kept = look(SURE, stepped, external=True)
    assert hear(kept, stepped, []).doubt == "ahead"
    assert hear(kept, stepped, [NOW]).doubt == "ahead"
    assert hear(kept, stepped, [stepped.at + 2 * DAY]).doubt == "ahead"
    healed = hear(kept, stepped, [NOW, stepped.at + 599])
    assert (healed.doubt, healed.at) == (None, stepped.at)


def test_a_host_that_takes_over_at_once_asks_nobody() -> None:
    kept = look(SURE, seen(4, boot_id="b"), external=True)
    assert (kept.doubt, kept.word, kept.at) == (None, "block", NOW + 4)
    assert look(SURE, seen(40, boot_id="b"), external=True).doubt == "start"


def test_what_was_believed_without_chains_is_held_against_the_first_one() -> None:
    kept = look(BELIEVED, seen(5), external=True)
    assert kept.doubt == "start"
    assert look(SURE, seen(5), external=True).doubt is None
    # and is again what it was without it, unless it was stepped meanwhile
    assert look(kept, seen(10), external=False).doubt is None
    assert look(kept, seen(10, DAY), external=False).doubt == "ahead"


def test_every_start_asks_the_chains_and_goes_on_by_the_time_that_passed_until_they_answer() -> None:
    kept = hear(look(SURE, seen(5), external=True, starting=True), seen(5), [])
    assert (kept.doubt, kept.at) == ("silent", NOW + 5)
    kept = look(kept, seen(10), external=True)
    assert (kept.doubt, kept.at) == ("silent", NOW + 10)
    assert hear(kept, seen(10), [NOW - 700]).doubt == "start"
    assert hear(kept, seen(10), [NOW - 500]).doubt is None
    assert look(kept, seen(15, DAY), external=True).doubt == "ahead"
    # a human's word lasts until the host starts anew
    human = take(SURE, seen(5), "human")
    assert look(human, seen(10), external=True, starting=True).doubt is None
    assert look(human, seen(70, boot_id="b"), external=True, starting=True).doubt == "start"


def test_a_human_ends_any_doubt_until_the_next_step() -> None:
    stepped = seen(5, DAY)
    kept = take(look(BELIEVED, stepped, external=True), stepped, "human")
    assert (kept.doubt, kept.at) == (None, stepped.at)
    assert look(kept, seen(10, DAY), external=True).doubt is None
    assert look(kept, seen(10, 2 * DAY), external=True).doubt == "ahead"


@dataclass
class Machine:
    """A host whose clock anybody steps, an agent that spends, and the rule between them."""

    boottime_s: float = 100.0
    off_s: float = 0.0
    kept: Kept = BELIEVED
    spent: list[tuple[float, float]] = field(default_factory=list)

    @property
    def clock(self) -> float:
        return NOW - 100.0 + self.boottime_s + self.off_s

    def spend(self) -> None:
        """Stamped as `LATEST_NOW` does."""
        self.spent.append((self.boottime_s, max(self.clock, self.kept.at)))

    def look(self) -> None:
        """What the worker does every five seconds."""
        clock = Seen(self.clock, "a", self.boottime_s, self.boottime_s)
        self.kept = look(self.kept, clock, external=False)

    def freed(self) -> list[float]:
        """How long ago was spent what `BELIEVED_NOW` frees at this moment."""
        believed = min(self.clock, self.kept.leash)
        return [self.boottime_s - since for since, stamp in self.spent if stamp <= believed - DAY]


ACTS = st.one_of(
    st.tuples(st.just("step"), st.floats(-3 * DAY, 3 * DAY)),
    st.tuples(st.just("step"), st.floats(-12, 12)),
    st.tuples(st.just("drift"), st.floats(-0.1, 0.1)),
    st.tuples(st.just("run"), st.floats(0, 600)),
    st.tuples(st.just("sleep"), st.floats(0, 2 * DAY)),
    st.tuples(st.just("undo"), st.just(0.0)),
)
# of a day: what may have been drift, the leash, and the time between two looks
EARLIEST_S = (DAY - TOLERANCE_S - 5) / (1 + DRIFT)


@settings(deadline=None, max_examples=200)
@given(st.lists(ACTS, min_size=3, max_size=25))
def test_no_row_of_steps_drifts_and_sleeps_frees_what_was_spent_before_a_day_has_passed(
    acts: list[tuple[str, float]],
) -> None:
    machine, rate = Machine(), 0.0
    for act, amount in acts:
        if act == "step":
            machine.off_s += amount
        elif act == "undo":
            machine.off_s = 0.0
        elif act == "drift":
            rate = amount
        elif act == "sleep":
            machine.boottime_s += amount
            machine.off_s += rate * amount
            # what is spent between waking and the first look has the stamp of a clock that nobody looked after
            assert all(age_s >= EARLIEST_S for age_s in machine.freed()), machine
            machine.look()
        passes_s = amount if act == "run" else 10.0
        for _ in range(int(passes_s // 5) + 1):
            machine.spend()
            assert all(age_s >= EARLIEST_S for age_s in machine.freed()), machine
            machine.boottime_s += 5
            machine.off_s += rate * 5
            assert all(age_s >= EARLIEST_S for age_s in machine.freed()), machine
            machine.look()


def test_a_day_that_passed_frees_in_doubt_too() -> None:
    """Nobody has to come for what time itself gives back: the doubt is about the clock, not about the time."""
    machine = Machine()
    machine.spend()
    machine.off_s = 10 * DAY
    for _ in range(int(DAY // 5) - 1):
        machine.boottime_s += 5
        machine.look()
        assert machine.kept.doubt == "ahead"
    machine.boottime_s += 10
    assert machine.freed() != []
