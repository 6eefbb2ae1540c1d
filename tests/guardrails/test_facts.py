from typing import Any

import pytest

from tests.guardrails.examples import facts


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain_id", "1"),
        ("chain_id", -1),
        ("value_wei", -1),
        ("value_wei", 1.0),
        ("value_wei", True),
        ("value_wei", None),
        ("gas_cost_wei", -1),
        ("spent_wei", -1),
        ("spent_wei", None),
        ("to", b""),
        ("to", "0x52908400098527886E0F7030069857D2E4169EE7"),
        ("to", bytes(32)),
    ],
)
def test_nothing_is_decided_on_impossible_facts(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        facts(**{field: value})
