"""What a transaction is, as far as guardrails look at it. [pure]"""

from dataclasses import dataclass
from typing import Final

# More than any amount: stands in what was spent for a transaction whose amount is not known
UNKNOWN_WEI: Final = 2**256


@dataclass(frozen=True, slots=True)
class Facts:
    """One transaction and what was spent before it; amounts in wei of the chain's native coin.

    `to` is 20 bytes; `gas_cost_wei` is gas limit × fee cap; `spent_wei` is what already counts in the rolling
    24 h window, over all chains. ValueError for facts that no transaction can have: nothing is decided on them.
    """

    chain_id: int
    chain_name: str
    to: bytes
    value_wei: int
    gas_cost_wei: int
    spent_wei: int

    def __post_init__(self) -> None:
        for name in ("chain_id", "value_wei", "gas_cost_wei", "spent_wei"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} is not a whole number of at least 0")
        if type(self.to) is not bytes or len(self.to) != 20:
            raise ValueError("to is not an address of 20 bytes")
