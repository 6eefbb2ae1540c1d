"""The gas of one transaction may not cost more than this on its chain. [pure]"""

from guardrails.facts import Facts
from guardrails.limits import Limits
from guardrails.outcome import Allowed, Denied, Outcome
from guardrails.wording import amount


def max_gas_cost(facts: Facts, limits: Limits) -> Outcome:
    """Gas limit × fee cap, the most it can come to: without a ceiling, gas is a way around every other limit."""
    if facts.gas_cost_wei <= limits.max_gas_cost_wei:
        return Allowed()
    limit, actual = amount(limits.max_gas_cost_wei), amount(facts.gas_cost_wei)
    return Denied(
        rule="max_gas_cost",
        limit=limit,
        actual=actual,
        detail=(
            f"Denied by max_gas_cost: gas could cost {actual} (gas limit × fee cap),"
            f" above the ceiling of {limit} per transaction on {facts.chain_name}"
        ),
    )
