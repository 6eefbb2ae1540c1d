"""Up to which block a node's chain is final, by its own word; a missing answer is unknown, never a default. [pure]"""

from dataclasses import dataclass, field
from typing import Any

from chains.errors import RpcRefused, Unreadable
from chains.quantities import COUNT_BITS, quantity
from chains.refusals import lacks_final_tag, names_no_final_block


@dataclass
class Finality:
    """What is remembered of one endpoint: `named` is the newest block it has named as finalised, 0 for none ever.

    `beside` is the same of every endpoint of the chain, this one included or not.
    """

    named: int = 0
    beside: tuple["Finality", ...] = field(default=(), repr=False, compare=False)

    def final_block(self, latest: Any, finalized: Any, confirmations: int) -> int:
        """The newest final block by answers to eth_blockNumber and eth_getBlockByNumber("finalized"); -1 for none.

        `confirmations` blocks behind the latest stand in only for a node that does not know of finality: it says so,
        or names block 0, and never named another. A node that did and now does not is out of breath, limited or
        starting anew, and a block that is no more final than `confirmations` say is not what it stood for. Where
        another endpoint has named one, the chain has finality, and a node that only starts says "not found" or names
        block 0 too: then they stand in only for one that says it does not offer the tag or the method.
        """
        self.hear(latest, finalized)
        newest = _number(latest)
        if newest is None:
            return -1
        if isinstance(finalized, dict):
            number = _number(finalized.get("number"))
            if number is None:
                return -1
            if number > 0:
                return min(number, newest)
        elif not (isinstance(finalized, RpcRefused) and names_no_final_block(finalized)):
            return -1
        if not (isinstance(finalized, RpcRefused) and lacks_final_tag(finalized)) and self._is_named_by_another():
            return -1
        # below what it named, nothing is taken for final that was not: it lags, or its chain began anew
        return -1 if 0 < self.named <= newest else max(newest - confirmations, 0)

    def hear(self, latest: Any, finalized: Any) -> None:
        """Remember what the answers name, before those of other endpoints are judged."""
        newest, number = _number(latest), _number(finalized.get("number")) if isinstance(finalized, dict) else None
        if newest is not None and number is not None:
            self.named = max(self.named, min(number, newest))

    def _is_named_by_another(self) -> bool:
        return any(each.named > 0 for each in self.beside if each is not self)


def _number(answer: Any) -> int | None:
    try:
        return quantity(answer, COUNT_BITS)
    except (Unreadable, RpcRefused):
        return None
