"""When a proof is looked for again: it costs every endpoint some questions, so less and less often."""

import time
from typing import Final
from uuid import UUID

FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 60.0
# looked for too often is better than remembered for ever
MAX_KNOWN: Final = 10_000


class Searches:
    """What was looked for in vain, and until when it is left alone."""

    def __init__(self) -> None:
        self._known: dict[UUID, tuple[float, float]] = {}

    def is_due(self, transaction_id: UUID) -> bool:
        """Never looked for, or long enough ago."""
        return time.monotonic() >= self._known.get(transaction_id, (0.0, 0.0))[0]

    def in_vain(self, transaction_id: UUID) -> None:
        """Nothing was proven: leave it alone, twice as long as the last time."""
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        pause_s = min(2 * self._known.get(transaction_id, (0.0, FIRST_PAUSE_S / 2))[1], MAX_PAUSE_S)
        self._known[transaction_id] = (time.monotonic() + pause_s, pause_s)

    def forget(self, transaction_id: UUID) -> None:
        """It is settled."""
        self._known.pop(transaction_id, None)
