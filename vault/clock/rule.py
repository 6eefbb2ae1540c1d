"""How far a clock may be believed, by the time that really passed and by blocks of external chains. [pure]

The believed time goes on with CLOCK_BOOTTIME, which nobody steps and which counts sleep; the clock that is read is
held against it. While both agree, what the clock drifts is taken over, up to a second a minute. Where they do not the
clock is in doubt: the believed time goes on without it, until the clock comes back, a block of an external chain is
near it, or a human takes its word. A host that was started anew, or looks for the first time, knows nothing of how
long it was off: there the clock is believed if no external chain speaks against it, and until one was heard the
believed time goes on from where it ended.

All times in seconds: of the clock since 1970, of CLOCK_BOOTTIME since the host's start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

# A smaller step counts as drift; and so far ahead of the believed time lies the leash, for until the next look
TOLERANCE_S: Final = 10.0
DRIFT: Final = 1 / 60
# no silence is so long that a larger step could pass for drift
LONGEST_S: Final = 86_400.0
NEAR_S: Final = 600.0

# by what the clock is believed since this host started: no external chain was there to ask, a block, a human
Word = Literal["alone", "block", "human"]
# ahead or behind the time that passed; ahead of every chain at the start; no chain has answered since the start
Doubt = Literal["ahead", "behind", "start", "silent"]


@dataclass(frozen=True)
class Kept:
    """What was believed at the last look: `at` of the clock, at `boottime_s` of the host with `boot_id`.

    `leash` is the latest that may be believed until the next look. `word` None: this host's clock has nobody's word.
    """

    at: float
    leash: float
    boot_id: str | None
    boottime_s: float
    word: Word | None
    doubt: Doubt | None = None


@dataclass(frozen=True)
class Seen:
    """The clock said `at` at some moment between `before_s` and `after_s` of the host's CLOCK_BOOTTIME."""

    at: float
    boot_id: str
    before_s: float
    after_s: float


def look(kept: Kept, seen: Seen, *, external: bool, starting: bool = False) -> Kept:
    """What is believed after a look at the clock; `external`: there are external chains that can be asked.

    In doubt, have them asked and `hear` them. `starting`: it is the first look of this process.
    """
    if kept.boot_id != seen.boot_id or seen.after_s < kept.boottime_s:
        return _begin(kept, seen, external=external)
    moved, gap_s = _moved(kept, seen)
    if kept.word is None:
        return _at_start(moved, seen, gap_s, external=external)
    # in doubt only what comes back counts: no doubt is old enough to pass for drift
    passed_s = 0.0 if kept.doubt in ("ahead", "behind") else min(seen.after_s - kept.boottime_s, LONGEST_S)
    if abs(gap_s) > TOLERANCE_S + passed_s * DRIFT:
        return replace(moved, doubt="ahead" if gap_s > 0 else "behind")
    taken_s = max(-passed_s * DRIFT, min(gap_s, passed_s * DRIFT))
    agreed = _leashed(replace(moved, at=moved.at + taken_s, doubt=None))
    # a start, or the first external chain that is there to ask
    is_asked = external and (kept.word == "alone" or (starting and kept.word == "block") or _waits(kept))
    return replace(agreed, doubt="silent" if kept.doubt == "silent" else "start") if is_asked else agreed


def hear(kept: Kept, seen: Seen, blocks: Sequence[float]) -> Kept:
    """What is believed of a clock in doubt when external chains' newest blocks have these times; none: no answer."""
    is_at_start = _waits(kept)
    if not blocks:
        return replace(kept, doubt="silent") if is_at_start else kept
    is_near = any(abs(block - seen.at) <= NEAR_S for block in blocks)
    # at the start, with nothing else against it, a clock behind the chains frees nothing by being so
    if is_near or (is_at_start and max(blocks) > seen.at):
        return take(kept, seen, "block")
    return replace(kept, doubt="start") if is_at_start else kept


def take(kept: Kept, seen: Seen, word: Word) -> Kept:
    """The clock is believed from here on, on this word."""
    # the believed time may go back here, and here alone
    return _leashed(replace(kept, at=seen.at, boot_id=seen.boot_id, boottime_s=seen.before_s, word=word, doubt=None))


def _begin(kept: Kept, seen: Seen, *, external: bool) -> Kept:
    """The first look of a host: its CLOCK_BOOTTIME says nothing about the time before."""
    if kept.word is not None and kept.doubt is None and kept.at - TOLERANCE_S <= seen.at <= kept.leash:
        # another host looked a moment ago, and nothing is freed that it would not have freed
        return take(kept, seen, kept.word)
    begun = _leashed(replace(kept, boot_id=seen.boot_id, boottime_s=seen.before_s, word=None, doubt=None))
    return _at_start(begun, seen, seen.at - begun.at, external=external)


def _at_start(kept: Kept, seen: Seen, gap_s: float, *, external: bool) -> Kept:
    """Nobody has given his word yet; `kept` goes on from where the believed time ended, `gap_s` is to the clock."""
    if gap_s < -TOLERANCE_S:
        # whatever it was that was wrong, then or now
        return replace(kept, doubt="behind")
    if not external:
        return take(kept, seen, "alone")
    return replace(kept, doubt=kept.doubt if kept.doubt == "silent" else "start")


def _waits(kept: Kept) -> bool:
    return kept.doubt in ("start", "silent")


def _moved(kept: Kept, seen: Seen) -> tuple[Kept, float]:
    """The believed time at the look, and by how much the clock is off: nothing while the moment could be that one."""
    earliest = kept.at + seen.before_s - kept.boottime_s
    latest = kept.at + seen.after_s - kept.boottime_s
    gap_s = max(0.0, seen.at - latest) + min(0.0, seen.at - earliest)
    # never further than what passed for certain
    return _leashed(replace(kept, at=earliest, boottime_s=seen.before_s)), gap_s


def _leashed(kept: Kept) -> Kept:
    return replace(kept, leash=kept.at + TOLERANCE_S)
