"""The chain must be one that a human allowed. [pure]"""

from guardrails.facts import Facts
from guardrails.limits import Limits
from guardrails.outcome import Allowed, Denied, Outcome
from guardrails.wording import listed


def allowed_chains(facts: Facts, limits: Limits) -> Outcome:
    """Chains are compared by canonical id: no alias or other spelling gets past."""
    if limits.allowed_chain_ids is None or facts.chain_id in limits.allowed_chain_ids:
        return Allowed()
    limit = listed(str(chain_id) for chain_id in limits.allowed_chain_ids)
    actual = f"{facts.chain_name} ({facts.chain_id})"
    return Denied(
        rule="allowed_chains",
        limit=limit,
        actual=actual,
        detail=f"Denied by allowed_chains: chain {actual} is not in tx_allowed_chains (chain ids: {limit})",
    )
