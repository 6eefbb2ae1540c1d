"""Chains whose node says nothing of finality for long: told once, since nothing there becomes final meanwhile."""

import logging
import time
from dataclasses import dataclass
from typing import Final

from chains.chain import Chain

log = logging.getLogger(__name__)

# A single answer may be missing: a limit, a node that starts anew
LASTS_S: Final = 60.0


@dataclass
class _Missed:
    """Since when no final block was named, and whether the log says so."""

    since: float
    told: bool = False


class FinalityMissed:
    """One line in the log when no final block was known for a minute, one when it is known again."""

    def __init__(self) -> None:
        self._missed: dict[int, _Missed] = {}

    def seen(self, chain: Chain, final_block: int) -> None:
        """A look at the chain; `final_block` is -1 when nothing is known to be final."""
        if final_block >= 0:
            missed = self._missed.pop(chain.chain_id, None)
            if missed is not None and missed.told:
                log.warning("chain %s: the final block is known again", chain.name)
            return
        missed = self._missed.setdefault(chain.chain_id, _Missed(time.monotonic()))
        if not missed.told and time.monotonic() >= missed.since + LASTS_S:
            missed.told = True
            log.warning("chain %s: no node names the final block; nothing becomes final until one does", chain.name)
