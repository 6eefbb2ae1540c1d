"""`make bench`: what an instance takes of one core while nobody asks it for anything, without the local chain."""

import tempfile
import time
from pathlib import Path
from typing import Any

from talon import usage
from talon.instance import temporary_instance

# starting leaves work behind: the first look at everything, PostgreSQL's first checkpoint
SETTLE_S = 15.0
SECONDS = 30.0


def measure(seconds: float = SECONDS) -> dict[str, Any]:
    """One line: CPU time of all processes together as a percentage of one core."""
    directory = tempfile.TemporaryDirectory(prefix="talon-bench-")
    with directory as home, temporary_instance(Path(home), {"TALON_ANVIL_PORT": "0"}) as instance:
        (supervisor,) = instance.pids("supervisor")
        time.sleep(SETTLE_S)
        kinds = {pid: name for name in instance.process_names() for pid in instance.pids(name)}
        before, began = _by_kind(supervisor, kinds), time.monotonic()
        time.sleep(seconds)
        after, passed_s = _by_kind(supervisor, kinds), time.monotonic() - began
        count = len(usage.processes(supervisor))
    shares = {kind: 100 * (after[kind] - before.get(kind, 0.0)) / passed_s for kind in sorted(after)}
    return {
        "measure": "idle",
        "seconds": round(passed_s, 1),
        "processes": count,
        "percent_of_one_core": round(sum(shares.values()), 2),
        "by_kind": {kind: round(share, 2) for kind, share in shares.items()},
    }


def _by_kind(supervisor: int, kinds: dict[int, str]) -> dict[str, float]:
    """CPU seconds so far; all that is no process of ours is PostgreSQL's."""
    found: dict[str, float] = {}
    for each in usage.processes(supervisor):
        kind = kinds.get(each.pid, "postgres")
        found[kind] = found.get(kind, 0.0) + each.cpu_s + each.ended_s
    return found
