"""Which nonces were not found: as few ranges as there are. [pure]"""

from collections.abc import Iterable


def ranges(nonces: Iterable[int]) -> list[tuple[int, int]]:
    """The nonces as ranges from the first to the last, in order: 3, 4, 7 are (3, 4) and (7, 7)."""
    found: list[tuple[int, int]] = []
    for nonce in sorted(set(nonces)):
        if found and found[-1][1] == nonce - 1:
            found[-1] = found[-1][0], nonce
        else:
            found.append((nonce, nonce))
    return found


def joined(ranges_: Iterable[tuple[int, int]], low: int, high: int) -> list[tuple[int, int]]:
    """The same with all nonces from `low` up to and without `high` before them."""
    rest = list(ranges_)
    if low >= high:
        return rest
    if rest and rest[0][0] == high:
        return [(low, rest[0][1]), *rest[1:]]
    return [(low, high - 1), *rest]
