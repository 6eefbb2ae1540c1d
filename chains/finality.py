"""Up to which block a node's chain is final, by its own word; a missing answer is unknown, never a default. [pure]"""

from dataclasses import dataclass
from typing import Any

from chains.errors import RpcRefused, Unreadable
from chains.quantities import COUNT_BITS, quantity
from chains.refusals import lacks_final_tag


@dataclass
class Finality:
    """What is remembered of one endpoint: `named` is the newest block it has named as finalised, 0 for none ever."""

    named: int = 0

    def final_block(self, latest: Any, finalized: Any, confirmations: int) -> int:
        """The newest final block by answers to eth_blockNumber and eth_getBlockByNumber("finalized"); -1 for none.

        `confirmations` blocks behind the latest stand in only for a node that does not know of finality: it says so,
        or names block 0, and never named another. A node that did and now does not is out of breath, limited or
        starting anew, and a block that is no more final than `confirmations` say is not what it stood for.
        """
        newest = _number(latest)
        if newest is None:
            return -1
        if isinstance(finalized, dict):
            number = _number(finalized.get("number"))
            if number is None:
                return -1
            if number > 0:
                self.named = max(self.named, min(number, newest))
                return min(number, newest)
        elif not (isinstance(finalized, RpcRefused) and lacks_final_tag(finalized)):
            return -1
        # below what it named, nothing is taken for final that was not: it lags, or its chain began anew
        return -1 if 0 < self.named <= newest else max(newest - confirmations, 0)


def _number(answer: Any) -> int | None:
    try:
        return quantity(answer, COUNT_BITS)
    except (Unreadable, RpcRefused):
        return None
