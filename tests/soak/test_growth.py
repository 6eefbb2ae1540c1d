"""What is left running does not grow: judged by slope over an idle and a busy phase of ten minutes or an hour."""

import pytest

from tests.soak.phases import ENDURE, PHASE_S, Observed, Phase
from tests.support.report import LINES
from tests.support.world import SOAK

# the first of them waits for both phases
pytestmark = [pytest.mark.soak, pytest.mark.endure, pytest.mark.timeout(1_200 + 3 * PHASE_S)]

KB, MB = 2**10, 2**20
# what a line through the samples may go up by in a phase, whatever its length: a leak is worse in the longer one
RISE = 8 * MB
# a short look sees only what is far off
RISES = RISE if SOAK or ENDURE else 3 * RISE
PYTHON = ("memory supervisor", "memory api", "memory worker", "memory signer")
# The README's bounds. PostgreSQL fills its shared buffers (128 MB) once it has that much to keep.
HIGHEST = {
    "memory supervisor": 120 * MB,
    "memory api": 250 * MB,
    "memory worker": 200 * MB,
    "memory signer": 150 * MB,
    "memory postgres": 450 * MB,
    "memory anvil": 200 * MB,
    "wal": 320 * MB,
}
# a core for a second is one second; the local chain makes its blocks, and may be lively from the start still
IDLE_CPU = 0.05
# rows, their indexes and the log of what happened, for a transaction and the three requests beside it
PER_ROUND = 40 * KB


def told(phase: Phase) -> None:
    for name, seen in sorted(phase.seen.items()):
        LINES.append(
            f"soak {phase.name} {phase.seconds:.0f} s, {name}: {seen[0][1] / MB:.1f} to {seen[-1][1] / MB:.1f} MB,"
            f" rises by {phase.rise(name) / MB:+.2f} MB"
        )


async def test_an_idle_instance_rests(observed: Observed) -> None:
    """Nothing to do for the worker but to look whether somebody else uses its wallets, and hardly any CPU."""
    idle = observed.idle
    LINES.append(f"soak idle: {100 * idle.cpu_s / idle.seconds:.2f} % of one core, with the local chain")
    assert observed.due == ["outside use"]
    assert idle.cpu_s / idle.seconds < IDLE_CPU


async def test_an_idle_instance_does_not_grow(observed: Observed) -> None:
    idle = observed.idle
    told(idle)
    for name in (*PYTHON, "memory postgres"):
        assert idle.rise(name) < RISES, name
    assert idle.rise("home") < RISE
    assert idle.rise("logs") < 64 * KB


async def test_a_busy_instance_grows_by_what_it_is_told_only(observed: Observed) -> None:
    busy = observed.busy
    told(busy)
    LINES.append(f"soak busy: {busy.transactions} transactions, {busy.requests} requests in {busy.seconds:.0f} s")
    assert busy.transactions > PHASE_S / 10
    for name in PYTHON:
        assert busy.rise(name) < RISES, name
    assert busy.rise("home") < PER_ROUND * busy.transactions + RISE
    # a line or two for every request, and then they are cut
    assert busy.rise("logs") < 2 * KB * (busy.requests + 60)


@pytest.mark.parametrize("name", sorted(HIGHEST))
async def test_nothing_is_larger_than_it_is_said_to_be(observed: Observed, name: str) -> None:
    assert max(observed.idle.highest(name), observed.busy.highest(name)) < HIGHEST[name]
