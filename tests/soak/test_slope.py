"""The judge of all growth: it finds a leak, and takes nothing else for one."""

import random

import pytest

from tests.support.slope import rise

MB = 2**20
MINUTES = 10


def samples(leak: float, noise: float = 3 * MB, jump: float = 0.0) -> list[tuple[float, float]]:
    """A process of 150 MB, seen every five seconds for ten minutes; `leak` in bytes over all of them."""
    draw = random.Random(7)
    seconds = 60 * MINUTES
    return [
        (1_000.0 + at, 150 * MB + leak * at / seconds + draw.uniform(-noise, noise) + (jump if at == 300 else 0.0))
        for at in range(0, seconds, 5)
    ]


@pytest.mark.parametrize("leak", [12 * MB, 40 * MB])
def test_a_leak_is_seen_through_the_noise(leak: float) -> None:
    assert rise(samples(leak)) == pytest.approx(leak, rel=0.2)


def test_noise_and_a_single_peak_are_no_leak() -> None:
    assert abs(rise(samples(0))) < 2 * MB
    assert abs(rise(samples(0, jump=60 * MB))) < 2 * MB


def test_what_shrinks_does_not_grow() -> None:
    assert rise(samples(-20 * MB)) < -15 * MB


def test_filling_up_at_first_is_no_leak() -> None:
    """Caches fill; a line through all of it would rise by 19 MB."""
    filling = [(at, 100 * MB + 25 * MB * min(1.0, at / 120)) for at in range(0, 600, 5)]
    assert rise(filling) < 1 * MB


def test_too_little_to_judge_is_said() -> None:
    for too_few in ([], [(0.0, 1.0)], [(float(at), 1.0) for at in range(7)]):
        with pytest.raises(ValueError, match="samples"):
            rise(too_few)
