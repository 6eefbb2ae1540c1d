"""The destination must be one that a human allowed. [pure]"""

from chains.addresses import format_address
from guardrails.facts import Facts
from guardrails.limits import Limits
from guardrails.outcome import Allowed, Denied, Outcome
from guardrails.wording import listed


def allowed_destinations(facts: Facts, limits: Limits) -> Outcome:
    """Addresses are compared as 20 bytes; nobody is a member without being named, not even the sender itself."""
    if limits.allowed_destinations is None or facts.to in limits.allowed_destinations:
        return Allowed()
    limit = listed(format_address(address) for address in limits.allowed_destinations)
    actual = format_address(facts.to)
    return Denied(
        rule="allowed_destinations",
        limit=limit,
        actual=actual,
        detail=f"Denied by allowed_destinations: destination {actual} is not in tx_to_allowlist ({limit})",
    )
