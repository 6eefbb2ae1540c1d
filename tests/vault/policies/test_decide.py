"""Every row of the contract's decision, as a table over frozen data."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from vault.auth.caller import Caller
from vault.policies.conditions import parse_conditions
from vault.policies.decide import Grant, Granted, Refused, VaultFacts, decide

NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)
ORG, VAULT, OTHER_VAULT, AGENT, USER = (uuid4() for _ in range(5))

VAULT_FACTS = VaultFacts(id=VAULT, org_id=ORG, created_by=USER, created_by_type="user")
BOT = Caller(kind="agent", id=AGENT, org_id=ORG, role=None, credential="jwt", ip_address="10.0.0.1")
OWNER = Caller(kind="user", id=uuid4(), org_id=ORG, role="owner", credential="jwt")
CREATOR = Caller(kind="user", id=USER, org_id=ORG, role="member", credential="jwt")
GRANT = Grant(
    id=uuid4(),
    vault_id=VAULT,
    principal_type="agent",
    principal_id=AGENT,
    pattern="keys/*",
    permissions=frozenset({"read"}),
    conditions=parse_conditions(None),
    expires_at=None,
)


def grant(**changes: Any) -> Grant:
    return replace(GRANT, **changes)


def bot(**changes: Any) -> Caller:
    return replace(BOT, **changes)


CASES: list[tuple[str, Caller, VaultFacts, list[Grant], str, str, str]] = [
    # what, caller, vault, grants, path, permission, outcome (who grants or which step refuses)
    ("zero access without a policy", BOT, VAULT_FACTS, [], "keys/a", "read", "policy"),
    ("a matching policy", BOT, VAULT_FACTS, [GRANT], "keys/a", "read", "by policy"),
    ("another permission", BOT, VAULT_FACTS, [GRANT], "keys/a", "write", "policy"),
    ("another path", BOT, VAULT_FACTS, [GRANT], "db/a", "read", "policy"),
    ("write does not imply read", BOT, VAULT_FACTS, [grant(permissions=frozenset({"write"}))], "keys/a", "read",
     "policy"),
    ("delete is no permission of its own", BOT, VAULT_FACTS, [grant(permissions=frozenset({"delete"}))], "keys/a",
     "write", "policy"),
    ("another agent's policy", BOT, VAULT_FACTS, [grant(principal_id=uuid4())], "keys/a", "read", "policy"),
    ("a user's policy with the agent's id", BOT, VAULT_FACTS, [grant(principal_type="user")], "keys/a", "read",
     "policy"),
    ("another vault's policy", BOT, VAULT_FACTS, [grant(vault_id=OTHER_VAULT)], "keys/a", "read", "policy"),
    ("an expired policy", BOT, VAULT_FACTS, [grant(expires_at=NOW)], "keys/a", "read", "policy"),
    ("a policy about to expire", BOT, VAULT_FACTS, [grant(expires_at=NOW + timedelta(seconds=1))], "keys/a", "read",
     "by policy"),
    ("conditions that hold", BOT, VAULT_FACTS, [grant(conditions=parse_conditions({"ip_allowlist": ["10.0.0.1"]}))],
     "keys/a", "read", "by policy"),
    ("conditions that do not", BOT, VAULT_FACTS, [grant(conditions=parse_conditions({"ip_allowlist": ["10.0.0.2"]}))],
     "keys/a", "read", "policy"),
    ("conditions nobody can read", BOT, VAULT_FACTS, [grant(conditions=None)], "keys/a", "read", "policy"),
    ("the second policy suffices", BOT, VAULT_FACTS, [grant(expires_at=NOW), GRANT], "keys/a", "read", "by policy"),
    ("another organisation", bot(org_id=uuid4()), VAULT_FACTS, [GRANT], "keys/a", "read", "organisation"),
    ("bound to this vault", bot(vault_ids=(OTHER_VAULT, VAULT)), VAULT_FACTS, [GRANT], "keys/a", "read", "by policy"),
    ("bound to another vault", bot(vault_ids=(OTHER_VAULT,)), VAULT_FACTS, [GRANT], "keys/a", "read", "binding"),
    ("scopes that cover", bot(scopes=("keys/**",)), VAULT_FACTS, [GRANT], "keys/a", "read", "by policy"),
    ("scopes that do not", bot(scopes=("db/**",)), VAULT_FACTS, [GRANT], "keys/a", "read", "scopes"),
    ("no scopes at all", bot(scopes=()), VAULT_FACTS, [GRANT], "keys/a", "read", "scopes"),
    ("scopes alone grant nothing", bot(scopes=("**",)), VAULT_FACTS, [], "keys/a", "read", "policy"),
    ("the creator, without a policy", CREATOR, VAULT_FACTS, [], "any/path", "write", "by creator"),
    ("an agent that made the vault", BOT, replace(VAULT_FACTS, created_by=AGENT, created_by_type="agent"), [],
     "any/path", "write", "by creator"),
    ("a bound agent that made the vault", bot(vault_ids=(OTHER_VAULT,)),
     replace(VAULT_FACTS, created_by=AGENT, created_by_type="agent"), [], "a", "read", "binding"),
    ("a narrowed key of the creator", replace(CREATOR, scopes=("db/*",)), VAULT_FACTS, [], "keys/a", "read",
     "scopes"),
    ("a user with the id of the agent that made it", replace(OWNER, id=AGENT),
     replace(VAULT_FACTS, created_by=AGENT, created_by_type="agent"), [], "a", "read", "policy"),
    ("an owner without a policy reads nothing", OWNER, VAULT_FACTS, [], "keys/a", "read", "policy"),
    ("the creator, now in another organisation", replace(CREATOR, org_id=uuid4()), VAULT_FACTS, [], "a", "read",
     "organisation"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("caller", "vault", "grants", "path", "permission", "outcome"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_decision(
    caller: Caller, vault: VaultFacts, grants: list[Grant], path: str, permission: Any, outcome: str
) -> None:
    decision = decide(caller, vault, grants, path, permission, NOW)
    if outcome.startswith("by "):
        assert isinstance(decision, Granted)
        assert decision.by == outcome.removeprefix("by ")
    else:
        assert isinstance(decision, Refused)
        assert decision.step == outcome


def test_scope_denials_use_the_words_clients_look_for() -> None:
    for scopes, words in (((), "no scopes"), (("db/*",), "scopes do not cover")):
        decision = decide(bot(scopes=scopes), VAULT_FACTS, [GRANT], "keys/a", "read", NOW)
        assert isinstance(decision, Refused)
        assert words in decision.detail.lower()


def test_ids_are_compared_as_ids() -> None:
    assert isinstance(decide(bot(id=UUID(str(AGENT))), VAULT_FACTS, [GRANT], "keys/a", "read", NOW), Granted)
