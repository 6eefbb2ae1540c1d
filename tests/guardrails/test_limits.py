from typing import Any

import pytest

from tests.guardrails.examples import limits


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_value_wei", -1),
        ("max_value_wei", "1"),
        ("max_value_wei", 0.5),
        ("daily_limit_wei", -1),
        ("daily_limit_wei", False),
        ("max_gas_cost_wei", None),
        ("max_gas_cost_wei", -1),
        ("allowed_chain_ids", {1}),
        ("allowed_chain_ids", [1]),
        ("allowed_destinations", ()),
    ],
)
def test_a_limit_that_means_nothing_is_not_taken_for_none(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        limits(**{field: value})
