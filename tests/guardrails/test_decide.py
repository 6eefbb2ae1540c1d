from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.units import ETHER
from guardrails import decide as module
from guardrails.decide import RULES, decide
from guardrails.facts import Facts
from guardrails.limits import Limits
from guardrails.outcome import Allowed, Denied
from tests.guardrails.examples import FACTS, LIMITS, STRANGER, UNRESTRICTED, facts

# From the last rule to the first: each adds what one more rule objects to
ESCALATION: list[tuple[str, dict[str, Any]]] = [
    ("max_gas_cost", {"gas_cost_wei": ETHER}),
    ("daily_limit", {"spent_wei": 3 * ETHER}),
    ("max_value", {"value_wei": 2 * ETHER}),
    ("allowed_destinations", {"to": STRANGER}),
    ("allowed_chains", {"chain_id": 10, "chain_name": "optimism"}),
]

AMOUNTS = st.integers(0, 6)
ADDRESSES = st.integers(0, 3).map(lambda n: bytes([n]) * 20)
FACTS_OF_ALL_KINDS = st.builds(
    Facts,
    chain_id=st.integers(1, 4),
    chain_name=st.just("any"),
    to=ADDRESSES,
    value_wei=AMOUNTS,
    gas_cost_wei=AMOUNTS,
    spent_wei=AMOUNTS,
)
LIMITS_OF_ALL_KINDS = st.builds(
    Limits,
    allowed_chain_ids=st.none() | st.frozensets(st.integers(1, 4)),
    allowed_destinations=st.none() | st.frozensets(ADDRESSES),
    max_value_wei=st.none() | AMOUNTS,
    daily_limit_wei=st.none() | AMOUNTS,
    max_gas_cost_wei=AMOUNTS,
)


def test_the_rules_in_the_contracts_order() -> None:
    assert [rule.__name__ for rule in RULES] == [
        "allowed_chains",
        "allowed_destinations",
        "max_value",
        "daily_limit",
        "max_gas_cost",
    ]


def test_allowed_carries_what_it_was_decided_on() -> None:
    assert decide(FACTS, LIMITS) == Allowed(FACTS)
    assert decide(FACTS, UNRESTRICTED) == Allowed(FACTS)


@pytest.mark.parametrize(("rule", "change"), ESCALATION, ids=[rule for rule, _ in ESCALATION])
def test_each_rule_alone_denies(rule: str, change: dict[str, Any]) -> None:
    outcome = decide(facts(**change), replace(LIMITS, daily_limit_wei=3 * ETHER if rule == "daily_limit" else None))
    assert isinstance(outcome, Denied)
    assert outcome.rule == rule
    assert rule in outcome.detail
    assert outcome.limit in outcome.detail
    assert outcome.actual in outcome.detail


def test_the_first_rule_that_objects_is_named() -> None:
    changes: dict[str, Any] = {}
    for rule, change in ESCALATION:
        changes |= change
        outcome = decide(facts(**changes), LIMITS)
        assert isinstance(outcome, Denied)
        assert outcome.rule == rule


def test_empty_is_nobody() -> None:
    for empty in ({"allowed_chain_ids": frozenset()}, {"allowed_destinations": frozenset()}):
        assert isinstance(decide(FACTS, replace(UNRESTRICTED, **empty)), Denied)


@given(FACTS_OF_ALL_KINDS, LIMITS_OF_ALL_KINDS)
def test_allowed_means_every_limit_holds(asked: Facts, limits: Limits) -> None:
    holds = (
        (limits.allowed_chain_ids is None or asked.chain_id in limits.allowed_chain_ids)
        and (limits.allowed_destinations is None or asked.to in limits.allowed_destinations)
        and (limits.max_value_wei is None or limits.max_value_wei >= asked.value_wei)
        and (limits.daily_limit_wei is None or limits.daily_limit_wei - asked.spent_wei >= asked.value_wei)
        and limits.max_gas_cost_wei >= asked.gas_cost_wei
    )
    assert isinstance(decide(asked, limits), Allowed if holds else Denied)


@given(FACTS_OF_ALL_KINDS, LIMITS_OF_ALL_KINDS, st.data())
def test_tightening_never_allows_what_was_denied(asked: Facts, limits: Limits, data: st.DataObject) -> None:
    def fewer(members: frozenset[Any] | None, all_members: st.SearchStrategy[Any]) -> frozenset[Any]:
        kept: frozenset[Any] = data.draw(st.frozensets(all_members))
        return kept if members is None else kept & members

    def lower(limit: int | None) -> int:
        tighter: int = data.draw(AMOUNTS)
        return tighter if limit is None else min(tighter, limit)

    tighter = data.draw(
        st.sampled_from(
            [
                replace(limits, allowed_chain_ids=fewer(limits.allowed_chain_ids, st.integers(1, 4))),
                replace(limits, allowed_destinations=fewer(limits.allowed_destinations, ADDRESSES)),
                replace(limits, max_value_wei=lower(limits.max_value_wei)),
                replace(limits, daily_limit_wei=lower(limits.daily_limit_wei)),
                replace(limits, max_gas_cost_wei=lower(limits.max_gas_cost_wei)),
            ]
        )
    )
    if isinstance(decide(asked, limits), Denied):
        assert isinstance(decide(asked, tighter), Denied)


@given(FACTS_OF_ALL_KINDS, LIMITS_OF_ALL_KINDS, st.integers(1, 5))
def test_having_spent_more_never_allows_what_was_denied(asked: Facts, limits: Limits, more: int) -> None:
    if isinstance(decide(asked, limits), Denied):
        assert isinstance(decide(replace(asked, spent_wei=asked.spent_wei + more), limits), Denied)


@pytest.mark.parametrize("place", range(len(RULES)))
def test_a_rule_that_fails_allows_nothing(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Facts, __: Limits) -> Allowed:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "RULES", (*RULES[:place], broken, *RULES[place + 1 :]))
    with pytest.raises(ZeroDivisionError):
        decide(FACTS, LIMITS)


@pytest.mark.parametrize("verdict", [None, True, False, "allowed", 1, Allowed, object()])
def test_no_verdict_allows_nothing(verdict: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def speechless(_: Facts, __: Limits) -> Any:
        return verdict

    monkeypatch.setattr(module, "RULES", (*RULES, speechless))
    with pytest.raises(TypeError, match="speechless gave no verdict"):
        decide(FACTS, LIMITS)
