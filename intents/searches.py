"""When a proof is looked for again: it costs every endpoint some questions, so less and less often."""

import time
from typing import Final
from uuid import UUID

# Most receipts that are missing are only late, or another endpoint has them
FIRST_PAUSE_S: Final = 4.0
MAX_PAUSE_S: Final = 60.0
# looked for too often is better than remembered for ever
MAX_KNOWN: Final = 10_000


class Searches:
    """What was looked for in vain, and until when it is left alone."""

    def __init__(self) -> None:
        self._known: dict[UUID, tuple[float, float]] = {}

    def is_due(self, transaction_id: UUID, *, at_once: bool) -> bool:
        """Looked for last long enough ago; what is new waits for a first pause, unless `at_once`."""
        known = self._known.get(transaction_id)
        if known is None:
            self._leave_alone(transaction_id, FIRST_PAUSE_S)
            return at_once
        return time.monotonic() >= known[0]

    def in_vain(self, transaction_id: UUID) -> None:
        """Nothing was proven: leave it alone, twice as long as the last time."""
        _, pause_s = self._known.get(transaction_id, (0.0, FIRST_PAUSE_S / 4))
        self._leave_alone(transaction_id, min(2 * pause_s, MAX_PAUSE_S))

    def _leave_alone(self, transaction_id: UUID, pause_s: float) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[transaction_id] = (time.monotonic() + pause_s, pause_s)

    def forget(self, transaction_id: UUID) -> None:
        """It is settled."""
        self._known.pop(transaction_id, None)
