"""What a human set for an agent. [pure]"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """An agent's limits on one chain; amounts in wei. None is unrestricted, an empty set is nobody.

    `max_gas_cost_wei` is the chain's and always there: without it gas would be a hole in every other cap.
    ValueError for limits that cannot be read as such: a limit that means nothing must not pass as none.
    """

    allowed_chain_ids: frozenset[int] | None
    allowed_destinations: frozenset[bytes] | None
    max_value_wei: int | None
    daily_limit_wei: int | None
    max_gas_cost_wei: int

    def __post_init__(self) -> None:
        for name in ("allowed_chain_ids", "allowed_destinations"):
            members = getattr(self, name)
            if members is not None and not isinstance(members, frozenset):
                raise ValueError(f"{name} is not a frozen set")
        for name in ("max_value_wei", "daily_limit_wei"):
            if getattr(self, name) is not None:
                _check_amount(name, getattr(self, name))
        _check_amount("max_gas_cost_wei", self.max_gas_cost_wei)


def _check_amount(name: str, value: object) -> None:
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is not a whole number of at least 0")
