"""The endpoint that says whether a principal may do something, and why: always what its own request would meet."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from tests.support.factories import Person, Robot
from tests.support.vault_api import Tenant


async def ask(tenant: Tenant, vault_id: str, who: Person | Robot, path: str = "a/b", **more: Any) -> dict[str, Any]:
    question = {
        "principal_type": who.caller.kind,
        "principal_id": str(who.id),
        "path": path,
        "permission": "read",
        **more,
    }
    answer = await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/access", params=question)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def outcomes(answer: dict[str, Any]) -> list[str]:
    return [each["outcome"] for each in answer["considered"]]


async def test_names_the_deciding_policy(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent, "z/**")
    await tenant.grant(vault_id, agent, "a/*", ("write",))
    await tenant.grant(vault_id, agent, "a/b", expires_at="2020-01-01T00:00:00Z")
    wanted = await tenant.grant(vault_id, agent, "a/**", ("write", "read"), expires_at="2099-01-01T00:00:00Z")
    answer = await ask(tenant, vault_id, agent)
    assert answer["allowed"] is True
    assert (answer["step"], answer["policy_id"]) == ("policy", wanted)
    assert answer["policy"] == {
        "pattern": "a/**",
        "permissions": ["read", "write"],
        "expires_at": "2099-01-01T00:00:00Z",
    }
    assert outcomes(answer) == ["match", "permission", "pattern", "expired"]
    # an hour behind the end of the policy
    assert (await ask(tenant, vault_id, agent, at="2099-01-01T01:00:00Z"))["allowed"] is False
    # before the end of the other one both match, and the older one is named
    age = "UPDATE policies SET created_at = created_at - interval '1 hour' WHERE id = :id"
    await tenant.change(age, id=UUID(wanted))
    earlier = await ask(tenant, vault_id, agent, at="2019-01-01T01:00:00Z")
    assert outcomes(earlier).count("match") == 2
    assert earlier["policy_id"] == wanted


async def test_without_a_policy(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    answer = await ask(tenant, vault_id, agent)
    assert answer == {
        "allowed": False,
        "step": "policy",
        "detail": "No policy grants read access to this path",
        "considered": [],
    }


async def test_conditions_can_be_tried(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    conditions = {
        "ip_allowlist": ["10.0.0.0/8", "2001:db8::/32"],
        "time_window": {"after": "08:00", "before": "20:00"},
    }
    await tenant.grant(vault_id, agent, conditions=conditions)
    noon, night = "2026-03-06T12:00:00Z", "2026-03-06T22:00:00+01:00"
    assert (await ask(tenant, vault_id, agent, ip="10.1.2.3", at=noon))["allowed"] is True
    assert (await ask(tenant, vault_id, agent, ip="2001:db8::1", at=noon))["allowed"] is True
    for more in ({"ip": "10.1.2.3", "at": night}, {"ip": "11.0.0.1", "at": noon}, {"at": noon}):
        answer = await ask(tenant, vault_id, agent, **more)
        assert answer["allowed"] is False
        assert outcomes(answer) == ["conditions"]


async def test_creator_scopes_binding(tenant: Tenant) -> None:
    elsewhere, vault_id = await tenant.vault(), await tenant.vault()
    assert (await ask(tenant, vault_id, tenant.owner))["step"] == "creator"
    narrowed, bound = await tenant.agent(scopes=["z/**"]), await tenant.agent(vault_ids=[elsewhere])
    for agent, step in ((narrowed, "scopes"), (bound, "binding")):
        await tenant.grant(vault_id, agent)
        answer = await ask(tenant, vault_id, agent)
        assert (answer["allowed"], answer["step"]) == (False, step)
        assert outcomes(answer) == ["match"]
    assert (await ask(tenant, vault_id, narrowed, "z/a"))["allowed"] is True
    labelled = await tenant.agent(scopes=["vault:read"])
    await tenant.grant(vault_id, labelled, "a/b")
    assert (await ask(tenant, vault_id, labelled))["allowed"] is True


async def test_an_admin_does_not_read_what_others_made(tenant: Tenant) -> None:
    vault_id, admin = await tenant.vault(), await tenant.member("admin")
    assert (await ask(tenant, vault_id, admin))["step"] == "policy"


@pytest.mark.parametrize("column", ["is_active = false", "deleted_at = now()", "expires_at = now()"])
async def test_whoever_may_not_call_may_nothing(tenant: Tenant, column: str) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    assert (await ask(tenant, vault_id, agent))["allowed"] is True
    await tenant.rows(f"UPDATE agents SET {column} WHERE id = :id RETURNING id", id=agent.id)  # noqa: S608 - from the list above
    answer = await ask(tenant, vault_id, agent)
    assert (answer["allowed"], answer["step"]) == (False, "principal")
    assert (await tenant.as_(agent).get(f"/v1/vaults/{vault_id}/secrets/a/b")).status_code == 401


async def test_the_organisations_rules_on_addresses(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    await tenant.rows(
        "INSERT INTO ip_rules (id, org_id, rule_type, cidr, applies_to, created_by)"
        " VALUES (gen_random_uuid(), :org, 'allow', '10.0.0.0/8', 'agents', :org) RETURNING id",
        org=tenant.owner.org_id,
    )
    assert (await ask(tenant, vault_id, agent, ip="10.0.0.1"))["allowed"] is True
    assert (await ask(tenant, vault_id, agent, ip="::ffff:10.0.0.1"))["allowed"] is True
    for more in ({"ip": "11.0.0.1"}, {}):
        answer = await ask(tenant, vault_id, agent, **more)
        assert (answer["allowed"], answer["step"]) == (False, "address")
    # rules for agents are none for people
    assert (await ask(tenant, vault_id, tenant.owner, ip="11.0.0.1"))["allowed"] is True


async def test_a_deactivated_person(tenant: Tenant) -> None:
    vault_id, member = await tenant.vault(), await tenant.member(is_active=False)
    await tenant.grant(vault_id, member)
    assert (await ask(tenant, vault_id, member))["step"] == "principal"


async def test_keys_are_closed_to_agents_with_intents(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent(intents_api_enabled=True)
    await tenant.grant(vault_id, agent, permissions=("read", "write"))
    await tenant.put(vault_id, "a/b", type="ssh_key")
    assert (await tenant.as_(agent).get(f"/v1/vaults/{vault_id}/secrets/a/b")).status_code == 403
    answer = await ask(tenant, vault_id, agent)
    assert (answer["allowed"], answer["step"]) == (False, "intents")
    assert (await ask(tenant, vault_id, agent, permission="write"))["allowed"] is True


async def test_who_may_ask(tenant: Tenant, app: FastAPI) -> None:
    vault_id, agent, member = await tenant.vault(), await tenant.agent(), await tenant.member()
    own = await tenant.vault(agent)
    question = {"principal_type": "agent", "principal_id": str(agent.id), "path": "a", "permission": "read"}
    url = f"/v1/vaults/{vault_id}/access"
    assert (await tenant.as_(None).get(url, params=question)).status_code == 401
    assert (await tenant.as_(member).get(url, params=question)).status_code == 403
    # not even about the vault it made
    assert (await tenant.as_(agent).get(f"/v1/vaults/{own}/access", params=question)).status_code == 403
    assert (await tenant.as_(await tenant.member("admin")).get(url, params=question)).status_code == 200
    stranger = await Tenant.found(app)
    assert (await stranger.as_(stranger.owner).get(url, params=question)).status_code == 404
    for unknown in (uuid4(), stranger.owner.id, (await stranger.agent()).id):
        for kind in ("agent", "user"):
            asked = question | {"principal_type": kind, "principal_id": str(unknown)}
            answer = await tenant.as_(tenant.owner).get(url, params=asked)
            assert answer.status_code == 404
            assert answer.json()["detail"] == f"There is no {kind} with this id"
    await stranger.close()


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../a"},
        {"path": ""},
        {"path": "a" * 513},
        {"permission": "delete"},
        {"principal_type": "org"},
        {"principal_id": "me"},
        {"ip": "somewhere"},
        {"at": "noon"},
        {"at": "2026-03-06T12:00:00"},
        {"at": "0001-01-01T00:00:00Z"},
        {"at": "9999-12-31T12:00:00Z"},
        {"and": "more"},
    ],
)
async def test_bad_questions(tenant: Tenant, change: dict[str, str]) -> None:
    question = {"principal_type": "agent", "principal_id": str(uuid4()), "path": "a", "permission": "read"} | change
    answer = await tenant.as_(tenant.owner).get(f"/v1/vaults/{await tenant.vault()}/access", params=question)
    assert answer.status_code == 400, answer.text


async def test_the_answer_is_bounded(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.rows(
        "INSERT INTO policies (id, vault_id, secret_path_pattern, principal_type, principal_id, permissions,"
        " created_by, created_by_type) SELECT gen_random_uuid(), :vault, 'p' || n, 'agent', :agent, '{read}',"
        " :agent, 'agent' FROM generate_series(1, 150) n RETURNING id",
        vault=vault_id,
        agent=agent.id,
    )
    answer = await ask(tenant, vault_id, agent, "p149")
    assert len(answer["considered"]) == 100
    assert outcomes(answer)[:2] == ["match", "pattern"]
