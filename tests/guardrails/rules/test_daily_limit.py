import pytest

from chains.units import ETHER
from guardrails.outcome import Allowed, Denied
from guardrails.rules.daily_limit import daily_limit
from tests.guardrails.examples import facts, limits


@pytest.mark.parametrize(
    ("limit", "spent", "value"),
    [
        (None, 2**256, 2**256 - 1),
        (ETHER, ETHER - 1, 1),
        (ETHER, ETHER, 0),
        (ETHER, 0, ETHER),
        (0, 0, 0),
    ],
)
def test_allowed(limit: int | None, spent: int, value: int) -> None:
    outcome = daily_limit(facts(spent_wei=spent, value_wei=value), limits(daily_limit_wei=limit))
    assert outcome == Allowed()


@pytest.mark.parametrize(
    ("limit", "spent", "value"),
    [
        (ETHER, ETHER, 1),
        (ETHER, ETHER - 1, 2),
        (ETHER, 0, ETHER + 1),
        (0, 0, 1),
        # a limit lowered below what is spent stops even a transaction without value
        (ETHER, ETHER + 1, 0),
    ],
)
def test_denied(limit: int, spent: int, value: int) -> None:
    outcome = daily_limit(facts(spent_wei=spent, value_wei=value), limits(daily_limit_wei=limit))
    assert isinstance(outcome, Denied)
    assert outcome.rule == "daily_limit"


def test_the_denial_names_limit_spent_and_value() -> None:
    outcome = daily_limit(facts(spent_wei=ETHER // 2, value_wei=ETHER), limits(daily_limit_wei=ETHER))
    assert outcome == Denied(
        rule="daily_limit",
        limit="1",
        actual="1.5",
        detail=(
            "Denied by daily_limit: value 1 on top of 0.5 counted in the last 24 hours"
            " would make 1.5, above tx_daily_limit_eth 1"
        ),
    )
