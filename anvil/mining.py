"""When the local chain makes a block: one a second while something happens, and rarely otherwise. [pure]

A block a second for nobody costs memory and disk for ever, and one only when there is a transaction would leave the
last ones without the blocks behind them that make them final.
"""

from dataclasses import dataclass

# seconds
BLOCK_TIME_S = 1.0
# how long blocks go on behind the last transaction, and behind the start
LIVELY_S = 60.0
IDLE_BLOCK_TIME_S = 30.0


@dataclass
class Pace:
    """All times by one monotonic clock, in seconds."""

    lively_until: float
    mined_at: float

    def is_due(self, now: float, waiting: int) -> bool:
        """Is it time for a block, with so many transactions `waiting` for it?"""
        if waiting:
            self.lively_until = now + LIVELY_S
        if now < self.lively_until or now - self.mined_at >= IDLE_BLOCK_TIME_S:
            self.mined_at = now
            return True
        return False
