import pytest

from chains.units import ETHER
from guardrails.outcome import Allowed, Denied
from guardrails.rules.max_value import max_value
from tests.guardrails.examples import facts, limits


@pytest.mark.parametrize(
    ("limit", "value"), [(None, 2**256 - 1), (ETHER, ETHER), (ETHER, ETHER - 1), (0, 0), (ETHER, 0)]
)
def test_allowed(limit: int | None, value: int) -> None:
    assert max_value(facts(value_wei=value), limits(max_value_wei=limit)) == Allowed()


@pytest.mark.parametrize(
    ("limit", "value", "limit_text", "value_text"),
    [
        (ETHER, ETHER + 1, "1", "1.000000000000000001"),
        (0, 1, "0", "0.000000000000000001"),
        (10**29 - 1, 10**29, "99999999999.999999999999999999", "100000000000"),
    ],
)
def test_denied(limit: int, value: int, limit_text: str, value_text: str) -> None:
    absurd = value >= 10**27
    hint = "; value is given in whole native coins (0.5 is half a coin), not in wei" if absurd else ""
    assert max_value(facts(value_wei=value), limits(max_value_wei=limit)) == Denied(
        rule="max_value",
        limit=limit_text,
        actual=value_text,
        detail=(
            f"Denied by max_value: value {value_text} is above the limit per transaction,"
            f" tx_max_value_eth {limit_text}{hint}"
        ),
    )


def test_gas_is_not_value() -> None:
    assert max_value(facts(value_wei=ETHER, gas_cost_wei=ETHER), limits(max_value_wei=ETHER)) == Allowed()
