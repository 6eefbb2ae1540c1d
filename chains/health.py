"""Whether an endpoint is in use: one that fails is asked after the others, and probed less and less often."""

import logging
import time
from typing import Final

log = logging.getLogger(__name__)

# How long an endpoint that failed once is left alone; twice as long after every further failure
COOL_DOWN_S: Final = 5.0
MAX_COOL_DOWN_S: Final = 60.0


class Health:
    """What is known of one endpoint. One line is logged when it goes out of use, one when it is back for good."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._streak = 0
        self._out = False
        self._has_answered = False
        self._cool_until = 0.0
        self._steady_from = 0.0
        self._probed_until = 0.0

    @property
    def is_out(self) -> bool:
        """Failed, and has not answered since."""
        return self._out

    @property
    def is_sound(self) -> bool:
        """Answered the last time it was asked."""
        return self._has_answered and not self._out

    @property
    def is_due(self) -> bool:
        """Not known to answer, left alone for long enough, and nobody is trying it at the moment."""
        return not self.is_sound and time.monotonic() >= max(self._cool_until, self._probed_until)

    def failed(self, why: str) -> None:
        """No usable answer; `why` names the endpoint and is fit for a log."""
        now = time.monotonic()
        if self._out and now < self._cool_until:
            return  # others that asked at the same time; or there is nobody else to ask
        if self._streak == 0:
            log.warning("%s; it is asked after the others until it answers", why)
        cool_down_s = min(COOL_DOWN_S * 2 ** min(self._streak, 10), MAX_COOL_DOWN_S)
        self._streak += 1
        self._out = True
        self._cool_until = now + cool_down_s
        # one that answers and fails in turns is neither forgiven nor logged every time
        self._steady_from = self._cool_until + cool_down_s

    def answered(self) -> None:
        """It answered; forgiven when it has not failed for a while."""
        self._out = False
        self._has_answered = True
        if self._streak and time.monotonic() >= self._steady_from:
            self._streak = 0
            log.warning("%s answers again", self._name)

    def probing(self, seconds: float) -> None:
        """Somebody tries it for at most so long: nobody else need."""
        self._probed_until = time.monotonic() + seconds
