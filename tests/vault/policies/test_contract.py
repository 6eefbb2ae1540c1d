"""Section 4 of the contract's semantics, statement by statement, each by its words; over HTTP, as clients meet it.

Where the contract only recommends (REC), the recommendation is the row.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from tests.support.factories import Person, Robot
from tests.support.vault_api import Tenant

PAST, FUTURE = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
PEER = "203.0.113.9"


@dataclass(frozen=True)
class Case:
    """A vault somebody made, one policy for an agent, and what the agent is answered on `path`."""

    statement: str
    pattern: str | None = "**"
    path: str = "api-keys/a"
    status: int = 200
    method: str = "GET"
    permissions: tuple[str, ...] = ("read",)
    conditions: dict[str, Any] | None = None
    expires_at: str | None = None
    scopes: tuple[str, ...] = ()
    vault_ids: tuple[str, ...] = ()
    peer: str = PEER
    made_by_itself: bool = False
    says: str = ""
    more: dict[str, Any] = field(default_factory=dict)


def hours(start: int, end: int) -> dict[str, Any]:
    """A window that is open all day but for nothing, or never on any day that comes."""
    return {"time_window": {"start_hour": start, "end_hour": end}}


CASES = [
    # Glob
    Case("Glob: * is exactly one segment", "api-keys/*"),
    Case("Glob: ** is one segment", "api-keys/**"),
    Case("Glob: ** is zero segments", "api-keys/a/**"),
    Case("Glob: ** is several segments", "**", "a/b/c/d"),
    Case("Glob: ** in the middle is zero segments", "api-keys/**/a"),
    Case("Glob: ** in the middle is several segments", "a/**/z", "a/b/c/z"),
    Case("Glob: other segments compare literally", "api-keys/b", status=403),
    Case("Glob: characters wild elsewhere are literal", "api-keys/A", status=403),
    Case("Glob: case-sensitively", "API-keys/a", status=403),
    Case("Glob: in-segment wildcards (ab*) match within the segment", "api-*/a"),
    Case("Glob: in-segment wildcards do not cross segments", "api*", status=403),
    Case("Glob: in-segment wildcards match nothing too", "api-keys*/a"),
    Case("Glob: ** alone matches everything", "**"),
    Case("Glob: api-keys/* does not match api-keys/a/b", "api-keys/*", "api-keys/a/b", 403),
    Case("Glob: api-keys/* does not match api-keys", "api-keys/*", "api-keys", 403),
    # Permissions
    Case("Permissions: read reads", permissions=("read",)),
    Case("Permissions: read does not write", method="PUT", status=403, permissions=("read",)),
    Case("Permissions: write writes", method="PUT", status=201, permissions=("write",)),
    Case("Permissions: write does not read", status=403, permissions=("write",)),
    Case("Permissions: delete needs write", method="DELETE", status=204, permissions=("write",)),
    Case("Permissions: delete is not required for it", method="DELETE", status=204, permissions=("read", "write")),
    Case("Permissions: delete alone deletes nothing", method="DELETE", status=403, permissions=("delete", "read")),
    # Conditions
    Case("Conditions: inside ip_allowlist", conditions={"ip_allowlist": ["10.0.0.0/8", "203.0.113.0/24"]}),
    Case("Conditions: outside ip_allowlist", status=403, conditions={"ip_allowlist": ["10.0.0.0/8"]}),
    Case("Conditions: the address is the caller's own, whatever it says", status=403, peer="198.51.100.1",
         conditions={"ip_allowlist": ["203.0.113.9"]}, more={"X-Forwarded-For": "203.0.113.9"}),
    Case("Conditions: a port after the address is none of it", peer="10.0.0.7",
         conditions={"ip_allowlist": ["203.0.113.9"]}, more={"X-Forwarded-For": "203.0.113.9:51234"}),
    Case("Conditions: an address that cannot be told is not the proxy's", status=403, peer="10.0.0.7",
         conditions={"ip_allowlist": ["10.0.0.0/8"]}, more={"X-Forwarded-For": "203.0.113.9:x"}),
    Case("Conditions: time_window after, before, timezone",
         conditions={"time_window": {"after": "00:00", "before": "24:00", "timezone": "UTC"}}),
    Case("Conditions: time_window start_hour, end_hour, days_of_week, timezone",
         conditions={"time_window": {"start_hour": 0, "end_hour": 24, "days_of_week": [0, 1, 2, 3, 4, 5, 6],
                                     "timezone": "Europe/Berlin"}}),
    Case("Conditions: all of them must hold", status=403,
         conditions={"ip_allowlist": ["10.0.0.0/8"], "time_window": {"after": "00:00", "before": "24:00"}}),
    # Expiry
    Case("Expiry: past expires_at makes a policy inert", status=403, expires_at=PAST),
    Case("Expiry: a future one does not", expires_at=FUTURE),
    # Decision
    Case("Decision: vault binding, the vault present", vault_ids=("other", "this")),
    Case("Decision: vault binding, non-empty and vault absent", status=403, vault_ids=("other",)),
    Case("Decision: creator bypass includes an agent that made the vault", None, method="PUT", status=201,
         made_by_itself=True),
    Case("Decision: creator bypass, but binding still applies", None, status=403, made_by_itself=True,
         vault_ids=("other",)),
    Case("Decision: creator bypass replaces only the policy step, scopes hold", None, status=403,
         made_by_itself=True, scopes=("db/*",), says="scopes do not cover"),
    Case("Decision: scope covers path", scopes=("api-keys/*",)),
    Case("Decision: scope does not cover path", status=403, scopes=("db/*",), says="scopes do not cover"),
    Case("Decision: a scope is no policy", None, status=403, scopes=("**",)),
    Case("Decision: nothing matches is 403", None, status=403),
    Case("Decision: 403 before 404", None, "never/was", 403),
    Case("Decision: 404 once allowed", "**", "never/was", 404),
    # Scopes
    Case("Scopes: agent.scopes if set", "**", "db/a", 403, scopes=("api-keys/*",)),
    Case("Scopes: else the patterns of its live policies", "api-keys/*", scopes=()),
    Case("Scopes: else none, which is no access", None, status=403, scopes=()),
    Case("Scopes: an entry with : is a label; with only labels, derive path scopes from policies",
         scopes=("vault:read", "vaults:read", "tx:sign")),
    Case("Scopes: labels widen nothing", None, status=403, scopes=("vault:read",)),
    Case("Scopes: a label beside a path leaves the path in force", status=403, scopes=("vault:read", "db/*")),
    # vault_ids
    Case("vault_ids: empty is unrestricted", vault_ids=()),
]  # fmt: skip


async def make(tenant: Tenant, case: Case) -> tuple[str, Robot]:
    """The world of a case: the vault and the agent."""
    ids = {"other": await tenant.vault()}
    agent = await tenant.agent(scopes=list(case.scopes))
    ids["this"] = await tenant.vault(agent if case.made_by_itself else None)
    if case.vault_ids:
        bound = {"vault_ids": [ids[name] for name in case.vault_ids]}
        answer = await tenant.as_(tenant.owner).patch(f"/v1/agents/{agent.id}", json=bound)
        assert answer.status_code == 200, answer.text
    if case.made_by_itself:
        # the bypass alone: what it was granted as the creator is taken away
        await tenant.rows("DELETE FROM policies WHERE vault_id = :id RETURNING id", id=ids["this"])
    elif case.status != 404 and not case.path.startswith("never"):
        await tenant.put(ids["this"], case.path)
    if case.pattern is not None:
        wanted = {"conditions": case.conditions, "expires_at": case.expires_at}
        await tenant.grant(ids["this"], agent, case.pattern, case.permissions, **wanted)
    return ids["this"], agent


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.statement)
async def test_statement(tenant: Tenant, case: Case) -> None:
    vault_id, agent = await make(tenant, case)
    answer = await tenant.as_(agent, case.peer).request(
        case.method,
        f"/v1/vaults/{vault_id}/secrets/{case.path}",
        json={"value": "v"} if case.method == "PUT" else None,
        headers=case.more,
    )
    assert answer.status_code == case.status, answer.text
    assert case.says in answer.text


BODIES: list[tuple[str, dict[str, Any], int]] = [
    ("Permissions: delete is accepted and stored", {"permissions": ["read", "delete"]}, 201),
    ("Permissions: empty list 400", {"permissions": []}, 400),
    ("Permissions: unknown one 400", {"permissions": ["admin"]}, 400),
    ("Conditions: unknown condition key 400", {"conditions": {"mfa_required": True}}, 400),
    ("Conditions: unknown key of a window 400", {"conditions": {"time_window": {"after": "08:00", "x": 1}}}, 400),
    ("Conditions: window wraps midnight when start > end", {"conditions": hours(22, 6)}, 201),
    ("Conditions: start_hour 0-23", {"conditions": hours(24, 24)}, 400),
    ("Conditions: end_hour 0-24", {"conditions": hours(8, 25)}, 400),
    ("Conditions: days_of_week from 0", {"conditions": {"time_window": {"days_of_week": [-1]}}}, 400),
    ("Conditions: timezone is IANA", {"conditions": {"time_window": {"after": "08:00", "timezone": "CEST-2"}}}, 400),
    ("Conditions: cron_expr is not implemented and not ignored",
     {"conditions": {"time_window": {"start_hour": 8, "cron_expr": "* * * * *"}}}, 400),
    ("Conditions: none at all", {"conditions": {}}, 201),
    ("Expiry: may be past at creation", {"expires_at": PAST}, 201),
    ("Later versions: effect allow is the default", {"effect": "allow"}, 201),
    ("Later versions: effect deny is never silently dropped", {"effect": "deny"}, 400),
    ("Later versions: priority", {"priority": 0}, 201),
    ("Later versions: policy_schema_version", {"policy_schema_version": 1}, 201),
    ("Later versions: another policy_schema_version", {"policy_schema_version": 9}, 400),
    ("Unknown keys could change who may read", {"condition": {"ip_allowlist": ["10.0.0.0/8"]}}, 400),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "changes", "status"), BODIES, ids=[row[0] for row in BODIES])
async def test_body(tenant: Tenant, statement: str, changes: dict[str, Any], status: int) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    url = f"/v1/vaults/{vault_id}/policies"
    body = {
        "secret_path_pattern": "a/*",
        "principal_type": "agent",
        "principal_id": str(agent.id),
        "permissions": ["read"],
    }
    answer = await tenant.as_(tenant.owner).post(url, json=body | changes)
    assert answer.status_code == status, answer.text
    if status == 201:
        _, stored = (await tenant.as_(tenant.owner).get(url)).json()["policies"]  # the first is the creator's
        assert stored["permissions"] == (body | changes)["permissions"]
        assert stored.get("conditions", {}) == changes.get("conditions", {})
        assert stored.get("expires_at") == changes.get("expires_at")


async def test_decision_of_two_policies_one_suffices(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.put(vault_id, "a")
    await tenant.grant(vault_id, agent, "a", expires_at=PAST)
    await tenant.grant(vault_id, agent, "b")
    assert (await tenant.as_(agent).get(f"/v1/vaults/{vault_id}/secrets/a")).status_code == 403
    await tenant.grant(vault_id, agent, "a")
    assert (await tenant.as_(agent).get(f"/v1/vaults/{vault_id}/secrets/a")).status_code == 200


async def test_decision_of_another_principals_policy(tenant: Tenant) -> None:
    vault_id, agent, other = await tenant.vault(), await tenant.agent(), await tenant.agent()
    await tenant.put(vault_id, "a")
    await tenant.grant(vault_id, other)
    assert (await tenant.as_(agent).get(f"/v1/vaults/{vault_id}/secrets/a")).status_code == 403


@pytest.mark.parametrize("role", ["owner", "admin", "member"])
async def test_decision_owners_and_admins_manage_but_do_not_read(tenant: Tenant, role: str) -> None:
    maker, other = await tenant.member(), await tenant.member(role)
    vault_id = await tenant.vault(maker)
    secret = f"/v1/vaults/{vault_id}/secrets/a"
    assert (await tenant.as_(maker).put(secret, json={"value": "v"})).status_code == 201
    assert (await tenant.as_(other).get(secret)).status_code == 403
    answer = await tenant.as_(other).post(
        f"/v1/vaults/{vault_id}/policies",
        json={
            "secret_path_pattern": "**",
            "principal_type": "user",
            "principal_id": str(other.id),
            "permissions": ["read"],
        },
    )
    assert answer.status_code == (403 if role == "member" else 201)
    assert (await tenant.as_(other).get(secret)).status_code == (403 if role == "member" else 200)


async def test_decision_of_another_organisation(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a")
    elsewhere = await Tenant.found(tenant.app)
    strangers: list[Person | Robot] = [elsewhere.owner, await elsewhere.agent()]
    for stranger in strangers:
        known = await elsewhere.as_(stranger).get(f"/v1/vaults/{vault_id}/secrets/a")
        unknown = await elsewhere.as_(stranger).get(f"/v1/vaults/{uuid4()}/secrets/a")
        assert known.status_code == unknown.status_code == 404
        assert known.json() == unknown.json()
    await elsewhere.close()


async def test_update_changes_only_permissions_conditions_and_expiry(tenant: Tenant) -> None:
    vault_id, agent, other = await tenant.vault(), await tenant.agent(), await tenant.agent()
    policy_id = await tenant.grant(vault_id, agent, "a/*")
    url = f"/v1/vaults/{vault_id}/policies"
    (before,) = (await tenant.as_(agent).get(url)).json()["policies"]
    allowed = {"permissions": ["write"], "conditions": {"ip_allowlist": ["10.0.0.0/8"]}, "expires_at": FUTURE}
    ignored = {
        "id": str(uuid4()),
        "vault_id": str(uuid4()),
        "secret_path_pattern": "**",
        "principal_type": "user",
        "principal_id": str(other.id),
        "created_by": str(other.id),
        "created_by_type": "agent",
        "created_at": PAST,
    }
    answer = await tenant.as_(tenant.owner).put(f"{url}/{policy_id}", json=allowed | ignored)
    assert answer.status_code == 200, answer.text
    assert answer.json() == before | allowed
