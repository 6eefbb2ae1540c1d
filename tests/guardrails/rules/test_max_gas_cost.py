import pytest

from chains.units import ETHER
from guardrails.outcome import Allowed, Denied
from guardrails.rules.max_gas_cost import max_gas_cost
from tests.guardrails.examples import facts, limits


@pytest.mark.parametrize(("limit", "cost"), [(ETHER, ETHER), (ETHER, ETHER - 1), (ETHER, 0), (0, 0)])
def test_allowed(limit: int, cost: int) -> None:
    assert max_gas_cost(facts(gas_cost_wei=cost), limits(max_gas_cost_wei=limit)) == Allowed()


@pytest.mark.parametrize(("limit", "cost", "text"), [(ETHER, ETHER + 1, "1.000000000000000001"), (0, ETHER, "1")])
def test_denied(limit: int, cost: int, text: str) -> None:
    outcome = max_gas_cost(facts(gas_cost_wei=cost), limits(max_gas_cost_wei=limit))
    limit_text = "1" if limit else "0"
    assert outcome == Denied(
        rule="max_gas_cost",
        limit=limit_text,
        actual=text,
        detail=(
            f"Denied by max_gas_cost: gas could cost {text} (gas limit × fee cap), above the ceiling of {limit_text}"
            " per transaction on base"
        ),
    )
