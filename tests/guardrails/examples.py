"""A transaction that every limit allows, to be changed one field at a time."""

from dataclasses import replace
from typing import Any, Final

from chains.units import ETHER
from guardrails.facts import Facts
from guardrails.limits import Limits

FRIEND: Final = bytes.fromhex("52908400098527886e0f7030069857d2e4169ee7")
STRANGER: Final = bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")

FACTS: Final = Facts(
    chain_id=8453, chain_name="base", to=FRIEND, value_wei=ETHER, gas_cost_wei=ETHER // 1000, spent_wei=2 * ETHER
)
LIMITS: Final = Limits(
    allowed_chain_ids=frozenset({1, 8453}),
    allowed_destinations=frozenset({FRIEND}),
    max_value_wei=ETHER,
    daily_limit_wei=3 * ETHER,
    max_gas_cost_wei=ETHER // 1000,
)
UNRESTRICTED: Final = Limits(None, None, None, None, max_gas_cost_wei=2**256 - 1)


def facts(**fields: Any) -> Facts:
    return replace(FACTS, **fields)


def limits(**fields: Any) -> Limits:
    """Only these limits."""
    return replace(UNRESTRICTED, **fields)
