"""How long to wait after failed log-ins [pure]: nothing at first, then twice as long each time."""

LONGEST_S = 15 * 60


def delay_s(failures: int, free: int) -> int:
    """Seconds until the next try after this many failures, of which `free - 1` cost nothing."""
    if failures < free:
        return 0
    # the shift is bounded: an attacker drives the number up
    return min(1 << min(failures - free, 10), LONGEST_S)


def delays(free: int) -> list[int]:
    """The delay after the first failure, the second and so on; the last one holds for all that follow."""
    made = [delay_s(1, free)]
    while made[-1] < LONGEST_S:
        made.append(delay_s(len(made) + 1, free))
    return made
