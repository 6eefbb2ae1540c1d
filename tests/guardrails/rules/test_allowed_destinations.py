import pytest

from guardrails.outcome import Allowed, Denied
from guardrails.rules.allowed_destinations import allowed_destinations
from tests.guardrails.examples import FRIEND, STRANGER, facts, limits


@pytest.mark.parametrize("allowed", [None, {FRIEND}, {FRIEND, STRANGER}])
def test_allowed(allowed: set[bytes] | None) -> None:
    members = None if allowed is None else frozenset(allowed)
    assert allowed_destinations(facts(), limits(allowed_destinations=members)) == Allowed()


@pytest.mark.parametrize("to", [STRANGER, bytes(20), FRIEND[:-1] + b"\xe8", b"\xff" + FRIEND[1:]])
def test_nobody_is_a_member_without_being_named(to: bytes) -> None:
    for members in (frozenset({FRIEND}), frozenset[bytes]()):
        assert isinstance(allowed_destinations(facts(to=to), limits(allowed_destinations=members)), Denied)


def test_the_denial_names_both_sides() -> None:
    assert allowed_destinations(facts(to=STRANGER), limits(allowed_destinations=frozenset({FRIEND}))) == Denied(
        rule="allowed_destinations",
        limit="0x52908400098527886E0F7030069857D2E4169EE7",
        actual="0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        detail=(
            "Denied by allowed_destinations: destination 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
            " is not in tx_to_allowlist (0x52908400098527886E0F7030069857D2E4169EE7)"
        ),
    )


def test_a_long_list_is_shortened() -> None:
    members = frozenset(bytes([n]) * 20 for n in range(100))
    denied = allowed_destinations(facts(to=STRANGER), limits(allowed_destinations=members))
    assert isinstance(denied, Denied)
    assert denied.limit.endswith("and 95 more")
    assert len(denied.detail) < 500
