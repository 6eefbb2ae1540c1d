"""May this be signed? [pure]

Deny is the default: only five spoken approvals make one. A rule that fails, or answers anything but Allowed or
Denied, raises out of here; the caller signs on an Allowed and on nothing else.
"""

from collections.abc import Callable
from typing import Final

from guardrails.facts import Facts
from guardrails.limits import Limits
from guardrails.outcome import Allowed, Denied, Outcome
from guardrails.rules.allowed_chains import allowed_chains
from guardrails.rules.allowed_destinations import allowed_destinations
from guardrails.rules.daily_limit import daily_limit
from guardrails.rules.max_gas_cost import max_gas_cost
from guardrails.rules.max_value import max_value

Rule = Callable[[Facts, Limits], Outcome]

# The contract's order; what Talon adds comes last
RULES: Final[tuple[Rule, ...]] = (allowed_chains, allowed_destinations, max_value, daily_limit, max_gas_cost)


def decide(facts: Facts, limits: Limits) -> Outcome:
    """Allowed with these facts if every rule allows them, else the first rule's Denied.

    Rules in order: chains, destinations, value of one transaction, 24 h total, gas cost. Raises TypeError when a
    rule answers with something else, and whatever a rule raises: an error is never an approval.
    """
    for rule in RULES:
        outcome = rule(facts, limits)
        if isinstance(outcome, Denied):
            return outcome
        if not isinstance(outcome, Allowed):
            raise TypeError(f"rule {rule.__name__} gave no verdict")
    return Allowed(facts)
