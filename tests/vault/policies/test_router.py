"""Policies over HTTP: who may grant, what may be granted, and that every change counts at once."""

from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from tests.support.vault_api import Tenant


def body(principal_id: object, **changes: Any) -> dict[str, Any]:
    return {
        "secret_path_pattern": "a/*",
        "principal_type": "agent",
        "principal_id": str(principal_id),
        "permissions": ["read"],
        **changes,
    }


async def test_grant_change_revoke_each_counts_at_once(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.put(vault_id, "a/b")
    owner, bot = tenant.as_(tenant.owner), tenant.as_(agent)
    secret, policies = f"/v1/vaults/{vault_id}/secrets/a/b", f"/v1/vaults/{vault_id}/policies"
    assert (await bot.get(secret)).status_code == 403

    conditions = {"ip_allowlist": ["203.0.113.0/24"]}
    made = await owner.post(
        policies, json=body(agent.id, conditions=conditions, expires_at="2099-01-01T00:00:00+01:00")
    )
    assert made.status_code == 201
    policy = made.json()
    assert policy["conditions"] == conditions
    assert policy["expires_at"] == "2098-12-31T23:00:00Z"
    assert policy["created_by"] == str(tenant.owner.id)
    assert policy["created_by_type"] == "user"
    assert (await bot.get(secret)).status_code == 200
    # the same agent from elsewhere
    assert (await tenant.as_(agent, peer="198.51.100.1").get(secret)).status_code == 403

    one = f"{policies}/{policy['id']}"
    changed = await owner.put(one, json={"conditions": {"ip_allowlist": ["10.0.0.0/8"]}})
    assert changed.json()["expires_at"] == policy["expires_at"]
    assert (await bot.get(secret)).status_code == 403
    changed = await owner.put(one, json={"conditions": None, "expires_at": None})
    assert "conditions" not in changed.json()
    assert "expires_at" not in changed.json()
    assert (await bot.get(secret)).status_code == 200
    await owner.put(one, json={"expires_at": "2020-01-01T00:00:00Z"})
    assert (await bot.get(secret)).status_code == 403
    await owner.put(one, json={"expires_at": None, "permissions": ["write", "write"]})
    assert (await bot.get(secret)).status_code == 403
    assert (await bot.put(secret, json={"value": "v"})).status_code == 201
    assert (await owner.delete(one)).status_code == 204
    assert (await bot.put(secret, json={"value": "v"})).status_code == 403
    assert (await owner.delete(one)).status_code == 404
    assert (await owner.put(one, json={"permissions": ["read"]})).status_code == 404

    assert len(await tenant.audit("policy.create", policy["id"])) == 1
    assert len(await tenant.audit("policy.update", policy["id"])) == 4
    (deletion,) = await tenant.audit("policy.delete", policy["id"])
    assert deletion["details"]["permissions"] == ["write"]


@pytest.mark.parametrize(
    "changes",
    [
        {"secret_path_pattern": ""},
        {"secret_path_pattern": "/a"},
        {"secret_path_pattern": "a**"},
        {"principal_type": "org"},
        {"principal_id": "me"},
        {"principal_id": 7},
        {"permissions": []},
        {"permissions": ["admin"]},
        {"permissions": "read"},
        {"permissions": None},
        {"conditions": {"ip_alowlist": ["10.0.0.0/8"]}},
        {"conditions": {"time_window": {"after": "25:00"}}},
        {"conditions": []},
        {"expires_at": "tomorrow"},
        {"expires_at": "2099-01-01T00:00:00"},
        {"expires_at": 4070908800},
        {"effect": "deny"},
        {"policy_schema_version": 2},
        {"condition": {}},
    ],
)
async def test_bad_bodies_grant_nothing(tenant: Tenant, changes: dict[str, Any]) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    answer = await tenant.as_(tenant.owner).post(f"/v1/vaults/{vault_id}/policies", json=body(agent.id) | changes)
    assert answer.status_code == 400, answer.text
    assert isinstance(answer.json()["detail"], str)
    assert await tenant.rows("SELECT 1 FROM policies WHERE principal_id = :id", id=agent.id) == []


async def test_fields_of_later_versions_at_their_defaults(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    later = body(agent.id, effect="allow", priority=0, policy_schema_version=1, permissions=["read", "delete"])
    answer = await tenant.as_(tenant.owner).post(f"/v1/vaults/{vault_id}/policies", json=later)
    assert answer.status_code == 201
    assert answer.json()["permissions"] == ["read", "delete"]


@pytest.mark.parametrize(
    "changes",
    [{"permissions": []}, {"conditions": {"x": 1}}, {"effect": "deny"}, {"expiry": None}, {"expires_at": ""}],
)
async def test_bad_changes_change_nothing(tenant: Tenant, changes: dict[str, Any]) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    policy_id = await tenant.grant(vault_id, agent)
    answer = await tenant.as_(tenant.owner).put(f"/v1/vaults/{vault_id}/policies/{policy_id}", json=changes)
    assert answer.status_code == 400, answer.text
    assert await tenant.audit("policy.update", policy_id) == []


async def test_a_whole_policy_sent_back_changes_only_what_may_change(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/policies"
    made = (await http.post(url, json=body(agent.id))).json()
    sent = {**made, "secret_path_pattern": "**", "principal_id": str(tenant.owner.id), "permissions": ["write"]}
    changed = await http.put(f"{url}/{made['id']}", json=sent)
    assert changed.json() == {**made, "permissions": ["write"]}


async def test_who_may_manage(tenant: Tenant) -> None:
    member, admin = await tenant.member(), await tenant.member("admin")
    stranger, agent = await tenant.member(), await tenant.agent()
    narrowed = await tenant.member("owner", scopes=("a/*",))
    vault_id = await tenant.vault(member)
    url = f"/v1/vaults/{vault_id}/policies"
    for who in (stranger, agent, narrowed):
        http = tenant.as_(who)
        assert (await http.post(url, json=body(agent.id))).status_code == 403
        assert (await http.put(f"{url}/{uuid4()}", json={})).status_code == 403
        assert (await http.delete(f"{url}/{uuid4()}")).status_code == 403
    for who in (member, admin, tenant.owner):
        assert (await tenant.as_(who).post(url, json=body(agent.id))).status_code == 201
    # granted everything, an agent still cannot grant
    await tenant.grant(vault_id, agent, permissions=("read", "write"))
    assert (await tenant.as_(agent).post(url, json=body(agent.id))).status_code == 403


async def test_owners_manage_but_do_not_read_without_a_policy(tenant: Tenant) -> None:
    member = await tenant.member()
    vault_id = await tenant.vault(member)
    await tenant.as_(member).put(f"/v1/vaults/{vault_id}/secrets/a", json={"value": "x"})
    http = tenant.as_(tenant.owner)
    assert (await http.get(f"/v1/vaults/{vault_id}/policies")).status_code == 200
    assert (await http.get(f"/v1/vaults/{vault_id}/secrets/a")).status_code == 403
    assert (await http.get(f"/v1/vaults/{vault_id}/secrets")).status_code == 403
    await tenant.grant(vault_id, tenant.owner)
    assert (await http.get(f"/v1/vaults/{vault_id}/secrets/a")).json()["value"] == "x"


async def test_an_agent_manages_only_the_vaults_it_made(tenant: Tenant) -> None:
    maker, other = await tenant.agent(), await tenant.agent()
    vault_id = await tenant.vault(maker)
    answer = await tenant.as_(maker).post(f"/v1/vaults/{vault_id}/policies", json=body(other.id))
    assert answer.status_code == 201
    assert answer.json()["created_by_type"] == "agent"
    assert (await tenant.as_(other).post(f"/v1/vaults/{vault_id}/policies", json=body(other.id))).status_code == 403


async def test_principals_come_from_the_organisation(tenant: Tenant, app: FastAPI) -> None:
    other = await Tenant.found(app)
    vault_id, outsider = await tenant.vault(), await other.agent()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/policies"
    details = set()
    for principal in (outsider.id, uuid4()):
        answer = await http.post(url, json=body(principal))
        assert answer.status_code == 400
        details.add(answer.json()["detail"])
    assert len(details) == 1
    # an agent's id under the name of a user, and the other way round
    agent = await tenant.agent()
    assert (await http.post(url, json=body(agent.id, principal_type="user"))).status_code == 400
    assert (await http.post(url, json=body(tenant.owner.id))).status_code == 400
    assert (await http.post(url, json=body(tenant.owner.id, principal_type="user"))).status_code == 201
    await other.close()


async def test_a_policy_is_reached_through_its_own_vault_only(tenant: Tenant) -> None:
    vault_id, elsewhere, agent = await tenant.vault(), await tenant.vault(), await tenant.agent()
    policy_id = await tenant.grant(vault_id, agent)
    http = tenant.as_(tenant.owner)
    assert (await http.delete(f"/v1/vaults/{elsewhere}/policies/{policy_id}")).status_code == 404
    assert (await http.put(f"/v1/vaults/{elsewhere}/policies/{policy_id}", json={})).status_code == 404
    assert (await http.get(f"/v1/vaults/{elsewhere}/policies")).json()["policies"][0]["id"] != policy_id


async def test_listing(tenant: Tenant) -> None:
    vault_id, agent, other = await tenant.vault(), await tenant.agent(), await tenant.agent()
    mine = [await tenant.grant(vault_id, agent, f"p{number}") for number in range(3)]
    await tenant.grant(vault_id, other)
    url = f"/v1/vaults/{vault_id}/policies"
    everything = (await tenant.as_(tenant.owner).get(url)).json()["policies"]
    assert len(everything) == 5  # with the creator's own
    assert [each["id"] for each in everything[1:4]] == mine
    page = (await tenant.as_(tenant.owner).get(url, params={"limit": 1, "offset": 2})).json()["policies"]
    assert [each["id"] for each in page] == [mine[1]]
    # an agent learns what was granted to it, and to nobody else
    assert [each["id"] for each in (await tenant.as_(agent).get(url)).json()["policies"]] == mine
    assert (await tenant.as_(await tenant.agent()).get(url)).status_code == 403
