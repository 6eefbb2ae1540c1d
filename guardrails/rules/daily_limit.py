"""What moves within any 24 hours may not come to more than this. [pure]"""

from guardrails.facts import UNKNOWN_WEI, Facts
from guardrails.limits import Limits
from guardrails.outcome import Allowed, Denied, Outcome
from guardrails.wording import amount, in_coins


def daily_limit(facts: Facts, limits: Limits) -> Outcome:
    """Face values over all chains, what is in flight included, up to and including the limit."""
    total_wei = facts.spent_wei + facts.value_wei
    if limits.daily_limit_wei is None or total_wei <= limits.daily_limit_wei:
        return Allowed()
    if facts.spent_wei >= UNKNOWN_WEI:
        return Denied(
            rule="daily_limit",
            limit=amount(limits.daily_limit_wei),
            actual="unknown",
            detail=(
                "Denied by daily_limit: this copy was restored, and of some transactions before that the amount is"
                " not known, so the last 24 hours count as full until the platform's administrator enters it"
                " (POST /v1/admin/restore/count)."
            ),
        )
    limit, actual = amount(limits.daily_limit_wei), amount(total_wei)
    return Denied(
        rule="daily_limit",
        limit=limit,
        actual=actual,
        detail=(
            f"Denied by daily_limit: value {amount(facts.value_wei)} on top of {amount(facts.spent_wei)} counted"
            f" in the last 24 hours would make {actual}, above tx_daily_limit_eth {limit}{in_coins(facts.value_wei)}"
        ),
    )
