"""Does it grow? Judged by the slope of many samples, so that one high reading is no growth. [pure]"""

from collections.abc import Sequence
from statistics import linear_regression

# of a phase, at its beginning: caches fill, and what the phase before left is cleared away
WARM_UP = 0.25
MIN_SAMPLES = 6


def rise(samples: Sequence[tuple[float, float]]) -> float:
    """By how much the values went up over the whole phase, by the least-squares line through all but its beginning.

    `samples` are pairs of a time in seconds and a value, oldest first. ValueError for too few to judge.
    """
    if not samples:
        raise ValueError("no samples")
    began, ended = samples[0][0], samples[-1][0]
    judged = [(at, value) for at, value in samples if at >= began + WARM_UP * (ended - began)]
    if len(judged) < MIN_SAMPLES:
        raise ValueError(f"{len(judged)} samples are too few")
    return linear_regression([at for at, _ in judged], [value for _, value in judged]).slope * (ended - began)
