"""How patient a test is: its budgets of time follow the machine, so that it fails for a wrong answer only."""

import os

CORES = os.cpu_count() or 1


def patient(seconds: float) -> float:
    """`seconds` on an idle machine, and as many times more as there are processes that wait for each core."""
    return seconds * (1 + os.getloadavg()[0] / CORES)
