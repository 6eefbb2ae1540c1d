"""No single transaction may move more than this. [pure]"""

from guardrails.facts import Facts
from guardrails.limits import Limits
from guardrails.outcome import Allowed, Denied, Outcome
from guardrails.wording import amount, in_coins


def max_value(facts: Facts, limits: Limits) -> Outcome:
    """The native value alone, up to and including the limit; what gas may cost has a rule of its own."""
    if limits.max_value_wei is None or facts.value_wei <= limits.max_value_wei:
        return Allowed()
    limit, actual = amount(limits.max_value_wei), amount(facts.value_wei)
    return Denied(
        rule="max_value",
        limit=limit,
        actual=actual,
        detail=f"Denied by max_value: value {actual} is above the limit per transaction, tx_max_value_eth {limit}"
        f"{in_coins(facts.value_wei)}",
    )
