from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from chains.transactions import DynamicFeeTransaction, LegacyTransaction, Transaction, max_gas_cost, signing_digest
from guardrails.approval import Approval, approve, approve_filler, is_filler
from guardrails.decide import decide
from guardrails.facts import Facts
from guardrails.outcome import Allowed, Denied
from tests.guardrails.examples import FRIEND, STRANGER, UNRESTRICTED

AGENT, KEY = uuid4(), uuid4()
NOW = datetime(2030, 1, 1, tzinfo=UTC)
LEGACY = LegacyTransaction(chain_id=1, nonce=7, gas_price=10, gas_limit=21000, to=FRIEND, value=5, data=b"\x01")
DYNAMIC = DynamicFeeTransaction(
    chain_id=1,
    nonce=7,
    max_priority_fee_per_gas=1,
    max_fee_per_gas=10,
    gas_limit=21000,
    to=FRIEND,
    value=5,
    data=b"",
)
FILLER = replace(DYNAMIC, to=STRANGER, value=0)


def decision(tx: Transaction) -> Allowed:
    facts = Facts(
        chain_id=tx.chain_id,
        chain_name="ethereum",
        to=tx.to,
        value_wei=tx.value,
        gas_cost_wei=max_gas_cost(tx),
        spent_wei=0,
    )
    outcome = decide(facts, UNRESTRICTED)
    assert isinstance(outcome, Allowed)
    return outcome


def ask(allowed: Any, tx: Transaction, kind: Any = "submit") -> Approval:
    return approve(allowed, tx, kind=kind, agent_id=AGENT, key_id=KEY, at=NOW)


def ask_filler(tx: Transaction, sender: bytes, kind: Any = "filler") -> Approval:
    return approve_filler(tx, sender=sender, agent_id=AGENT, key_id=KEY, at=NOW, kind=kind)


@pytest.mark.parametrize("tx", [LEGACY, DYNAMIC], ids=["legacy", "dynamic"])
@pytest.mark.parametrize("kind", ["submit", "sign_only"])
def test_an_approval_is_for_these_bytes_once(tx: Transaction, kind: Any) -> None:
    approval = ask(decision(tx), tx, kind)
    assert isinstance(approval.id, UUID)
    assert approval == Approval(approval.id, kind, AGENT, KEY, signing_digest(tx), NOW + timedelta(seconds=4))
    assert ask(decision(tx), tx, kind).id != approval.id


@pytest.mark.parametrize(
    "change",
    [{"value": 6}, {"to": STRANGER}, {"chain_id": 2}, {"gas_limit": 21001}, {"gas_price": 11}],
)
def test_a_decision_about_another_transaction_does_not_count(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="another transaction"):
        ask(decision(LEGACY), replace(LEGACY, **change))


@pytest.mark.parametrize(
    "allowed", [None, True, "allowed", Allowed(), Allowed, Denied("max_value", "1", "2", "no"), object()]
)
def test_nothing_is_approved_without_a_decision(allowed: object) -> None:
    with pytest.raises(ValueError, match="without a decision"):
        ask(allowed, LEGACY)


@pytest.mark.parametrize("kind", ["filler", "cancel", "", None])
def test_only_decided_kinds_are_approved_by_a_decision(kind: object) -> None:
    with pytest.raises(ValueError, match="filler or cancel"):
        ask(decision(LEGACY), LEGACY, kind)


@pytest.mark.parametrize("kind", ["filler", "cancel"])
def test_a_filler_needs_no_decision(kind: str) -> None:
    approval = ask_filler(FILLER, STRANGER, kind)
    assert (approval.kind, approval.digest) == (kind, signing_digest(FILLER))


@pytest.mark.parametrize(
    ("tx", "sender"),
    [
        (FILLER, FRIEND),
        (FILLER, b""),
        (replace(FILLER, value=1), STRANGER),
        (replace(FILLER, data=b"\x00"), STRANGER),
        (replace(FILLER, to=bytes(20)), STRANGER),
    ],
)
def test_a_filler_moves_nothing(tx: Transaction, sender: bytes) -> None:
    assert not is_filler(tx, sender)
    with pytest.raises(ValueError, match="not a filler"):
        ask_filler(tx, sender)


@pytest.mark.parametrize("kind", ["submit", "sign_only"])
def test_a_filler_is_no_way_around_a_decision(kind: str) -> None:
    with pytest.raises(ValueError, match="needs a decision"):
        ask_filler(FILLER, STRANGER, kind)


@pytest.mark.parametrize(
    ("field", "value"),
    [("kind", "anything"), ("digest", b""), ("digest", bytes(31)), ("expires_at", datetime(2030, 1, 1))],  # noqa: DTZ001 - the point is that it has no timezone
)
def test_an_approval_is_well_formed(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"kind|digest|expires_at"):
        replace(ask(decision(LEGACY), LEGACY), **{field: value})
