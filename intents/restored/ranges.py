"""Which nonces were not found: as few ranges as there are. [pure]"""

from collections.abc import Iterable


def gaps(low: int, high: int, found: Iterable[int]) -> list[tuple[int, int]]:
    """The nonces from `low` up to and without `high` that are not among `found`, as ranges from first to last."""
    missing: list[tuple[int, int]] = []
    for nonce in sorted({each for each in found if low <= each < high} | {high}):
        if nonce > low:
            missing.append((low, nonce - 1))
        low = nonce + 1
    return missing
