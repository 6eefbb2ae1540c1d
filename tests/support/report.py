"""Lines that a test wants at the end of the run's output, such as how much it tried."""

LINES: list[str] = []
