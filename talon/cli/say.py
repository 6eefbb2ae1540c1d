"""Lines for whoever sits at the terminal."""

import sys


def say(line: str) -> None:
    """A line of output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
