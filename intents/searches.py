"""When a proof is looked for again: it costs every endpoint some questions, so less and less often."""

import time
from collections.abc import Hashable
from typing import Final

# Most receipts that are missing are only late, or another endpoint has them
FIRST_PAUSE_S: Final = 4.0
MAX_PAUSE_S: Final = 60.0
# looked for too often is better than remembered for ever
MAX_KNOWN: Final = 10_000


class Searches:
    """What was looked for in vain (a transaction's id, or that and a block), and until when it is left alone."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[float, float]] = {}

    def is_due(self, question: Hashable, *, at_once: bool) -> bool:
        """Looked for last long enough ago; what is new waits for a first pause, unless `at_once`."""
        known = self._known.get(question)
        if known is None:
            self._leave_alone(question, FIRST_PAUSE_S)
            return at_once
        return time.monotonic() >= known[0]

    def in_vain(self, question: Hashable) -> None:
        """Nothing was proven: leave it alone, twice as long as the last time."""
        _, pause_s = self._known.get(question, (0.0, FIRST_PAUSE_S / 4))
        self._leave_alone(question, min(2 * pause_s, MAX_PAUSE_S))

    def _leave_alone(self, question: Hashable, pause_s: float) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[question] = (time.monotonic() + pause_s, pause_s)

    def forget(self, question: Hashable) -> None:
        """It is settled."""
        self._known.pop(question, None)
