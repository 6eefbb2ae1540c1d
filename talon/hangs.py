"""When a child that runs does nothing any more. [pure] Times in seconds, of one clock that is never stepped."""

from dataclasses import dataclass

# a process that is stopped does not go on by itself
STOPPED_S = 4.0
# loading what a busy machine loads slowly
START_S = 180.0
# a supervisor that comes so much later than it wanted to was itself held up: so was everybody else
LATE_S = 1.0


@dataclass(frozen=True)
class Watched:
    """What is known of a child: since when it runs, and is stopped (SIGSTOP); when it last gave a sign of life."""

    started_at: float
    stopped_since: float | None
    seen_at: float | None
    # how long it may be silent
    bound_s: float


def hangs(child: Watched, now: float, excused_at: float, slowness: float) -> str | None:
    """In which way it hangs; None while it may be well.

    `excused_at`: nobody's silence before this counts. `slowness`: how many times slower than idle the machine is.
    """
    if child.stopped_since is not None:
        return "is stopped" if now - max(child.stopped_since, excused_at) >= STOPPED_S else None
    if child.seen_at is None:
        return "does not get ready" if now - max(child.started_at, excused_at) >= START_S * slowness else None
    return "hangs" if now - max(child.seen_at, excused_at) >= child.bound_s * slowness else None
