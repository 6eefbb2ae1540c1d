import pytest

from guardrails.outcome import Allowed, Denied
from guardrails.rules.allowed_chains import allowed_chains
from tests.guardrails.examples import facts, limits


@pytest.mark.parametrize("allowed", [None, {8453}, {1, 8453, 10}])
def test_allowed(allowed: set[int] | None) -> None:
    ids = None if allowed is None else frozenset(allowed)
    assert allowed_chains(facts(), limits(allowed_chain_ids=ids)) == Allowed()


@pytest.mark.parametrize(
    ("allowed", "listed"),
    [([], "none"), ([1], "1"), ([8452, 8454], "8452, 8454"), (range(1, 9), "1, 2, 3, 4, 5 and 3 more")],
)
def test_denied(allowed: list[int], listed: str) -> None:
    assert allowed_chains(facts(), limits(allowed_chain_ids=frozenset(allowed))) == Denied(
        rule="allowed_chains",
        limit=listed,
        actual="base (8453)",
        detail=f"Denied by allowed_chains: chain base (8453) is not in tx_allowed_chains (chain ids: {listed})",
    )
