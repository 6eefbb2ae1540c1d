"""Vaults over HTTP, on a real database and signer."""

import asyncio
from uuid import uuid4

import pytest
from fastapi import FastAPI

from tests.support.factories import make_agent
from tests.support.vault_api import Tenant


async def test_a_person_creates_a_vault_and_is_granted_everything_in_it(tenant: Tenant) -> None:
    http = tenant.as_(tenant.owner)
    answer = await http.post("/v1/vaults", json={"name": "  prod  ", "description": "the one"})
    assert answer.status_code == 201
    made = answer.json()
    assert made["name"] == "prod"
    assert made["description"] == "the one"
    assert (made["created_by"], made["created_by_type"]) == (str(tenant.owner.id), "user")
    assert made["created_at"].endswith("Z")
    assert (await http.get(f"/v1/vaults/{made['id']}")).json() == made

    policies = (await http.get(f"/v1/vaults/{made['id']}/policies")).json()["policies"]
    assert [(each["secret_path_pattern"], each["permissions"], each["principal_id"]) for each in policies] == [
        ("**", ["read", "write"], str(tenant.owner.id))
    ]
    assert len(await tenant.audit("vault.create", made["id"])) == 1
    assert len(await tenant.audit("policy.create", policies[0]["id"])) == 1


async def test_an_agent_may_create_a_vault(tenant: Tenant) -> None:
    agent = await tenant.agent()
    vault_id = await tenant.vault(agent)
    shown = (await tenant.as_(agent).get(f"/v1/vaults/{vault_id}")).json()
    assert (shown["created_by"], shown["created_by_type"]) == (str(agent.id), "agent")
    stored = await tenant.as_(agent).put(f"/v1/vaults/{vault_id}/secrets/a", json={"value": "x"})
    assert stored.status_code == 201


async def test_an_agents_vault_is_shared_with_the_human_who_made_the_agent(tenant: Tenant) -> None:
    maker, colleague = await tenant.member(), await tenant.member()
    agent = await make_agent(tenant.database, tenant.owner.org_id, maker.id)
    vault_id = await tenant.vault(agent)
    url = f"/v1/vaults/{vault_id}/secrets/a"
    assert (await tenant.as_(agent).put(url, json={"value": "x"})).status_code == 201
    assert (await tenant.as_(maker).get(url)).json()["value"] == "x"
    assert (await tenant.as_(maker).put(url, json={"value": "y"})).status_code == 201
    assert (await tenant.as_(colleague).get(url)).status_code == 403
    policies = (await tenant.as_(maker).get(f"/v1/vaults/{vault_id}/policies")).json()["policies"]
    assert [(each["principal_type"], each["principal_id"], each["permissions"]) for each in policies] == [
        ("user", str(maker.id), ["read", "write"])
    ]
    # visible, and revocable like any other
    gone = await tenant.as_(tenant.owner).delete(f"/v1/vaults/{vault_id}/policies/{policies[0]['id']}")
    assert gone.status_code == 204
    assert (await tenant.as_(maker).get(url)).status_code == 403


async def test_who_made_the_agent_and_left_is_given_nothing(tenant: Tenant) -> None:
    agent = await make_agent(tenant.database, tenant.owner.org_id, uuid4())
    vault_id = await tenant.vault(agent)
    assert await tenant.rows("SELECT 1 FROM policies WHERE vault_id = :id", id=vault_id) == []


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": "   "}, {"name": "x" * 256}, {"name": 7}, {"name": None}, {"name": "a\x00"},
     {"name": "ok", "description": 1}, {"name": "ok", "mpc_custody": "2-of-2"}, [], "name",
     {"name": "__agent-keys"}, {"name": " __agent-keys"}, {"name": "__"}],
)  # fmt: skip
async def test_bad_bodies_create_nothing(tenant: Tenant, body: object) -> None:
    answer = await tenant.as_(tenant.owner).post("/v1/vaults", json=body)
    assert answer.status_code == 400, answer.text
    assert isinstance(answer.json()["detail"], str)
    assert await tenant.rows("SELECT 1 FROM vaults WHERE org_id = :org", org=tenant.owner.org_id) == []


async def test_unknown_fields_and_null_descriptions_do_no_harm(tenant: Tenant) -> None:
    body = {"name": "x" * 255, "description": None, "colour": "red"}
    assert (await tenant.as_(tenant.owner).post("/v1/vaults", json=body)).status_code == 201


async def test_a_name_is_taken_once_per_organisation_until_deleted(tenant: Tenant, app: FastAPI) -> None:
    http = tenant.as_(tenant.owner)
    first = await tenant.vault(name="twice")
    clash = await http.post("/v1/vaults", json={"name": " twice "})
    assert clash.status_code == 409
    other = await Tenant.found(app)
    await other.vault(name="twice")
    await other.close()

    assert (await http.delete(f"/v1/vaults/{first}")).status_code == 204
    assert await tenant.vault(name="twice") != first


async def test_of_many_at_once_one_gets_the_name(tenant: Tenant) -> None:
    http = tenant.as_(tenant.owner)
    answers = await asyncio.gather(*(http.post("/v1/vaults", json={"name": "race"}) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    # the losers left no policy behind either
    assert len(await tenant.rows("SELECT 1 FROM policies WHERE principal_id = :id", id=tenant.owner.id)) == 1


async def test_listing_in_pages(tenant: Tenant) -> None:
    made = [await tenant.vault(name=f"v{number}") for number in range(5)]
    http = tenant.as_(await tenant.member())
    listed = (await http.get("/v1/vaults")).json()["vaults"]
    assert [each["id"] for each in listed] == made
    page = (await http.get("/v1/vaults", params={"limit": 2, "offset": 3})).json()["vaults"]
    assert [each["id"] for each in page] == made[3:]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=-1", "limit=x", "offset=-1", "offset=1.5"])
async def test_bad_pages(tenant: Tenant, query: str) -> None:
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults?{query}")).status_code == 400


async def test_agents_see_what_they_made_or_are_granted_inside_their_binding(tenant: Tenant) -> None:
    mine, granted, expired, closed = [await tenant.vault() for _ in range(4)]
    agent = await tenant.agent()
    made = await tenant.vault(agent)
    await tenant.grant(granted, agent, "a/*")
    await tenant.grant(granted, agent, "b/*")
    await tenant.grant(expired, agent, expires_at="2020-01-01T00:00:00Z")
    http = tenant.as_(agent)
    listed = [each["id"] for each in (await http.get("/v1/vaults")).json()["vaults"]]
    assert listed == [granted, made]
    for vault_id in (mine, expired, closed):
        assert (await http.get(f"/v1/vaults/{vault_id}")).status_code == 403

    bound = await tenant.agent(vault_ids=[closed])
    await tenant.grant(granted, bound)
    await tenant.grant(closed, bound)
    http = tenant.as_(bound)
    assert [each["id"] for each in (await http.get("/v1/vaults")).json()["vaults"]] == [closed]
    assert (await http.get(f"/v1/vaults/{granted}")).status_code == 403


async def test_another_organisations_id_looks_like_an_unknown_one(tenant: Tenant, app: FastAPI) -> None:
    other = await Tenant.found(app)
    foreign = await other.vault()
    for who in (tenant.owner, await tenant.agent()):
        http = tenant.as_(who)
        for path in ("", "/secrets", "/secrets/a", "/policies"):
            unknown = await http.get(f"/v1/vaults/{uuid4()}{path}")
            theirs = await http.get(f"/v1/vaults/{foreign}{path}")
            assert unknown.status_code == theirs.status_code == 404
            assert unknown.json() == theirs.json()
        assert (await http.delete(f"/v1/vaults/{foreign}")).status_code == 404
    await other.close()


async def test_only_creator_owner_and_admin_delete(tenant: Tenant) -> None:
    member, admin, agent = await tenant.member(), await tenant.member("admin"), await tenant.agent()
    narrowed = await tenant.member("owner", scopes=("a/*",))
    vault_id = await tenant.vault(member)
    await tenant.grant(vault_id, agent, permissions=("read", "write"))
    for who in (await tenant.member(), agent, narrowed):
        assert (await tenant.as_(who).delete(f"/v1/vaults/{vault_id}")).status_code == 403
    assert (await tenant.as_(admin).delete(f"/v1/vaults/{vault_id}")).status_code == 204
    assert len(await tenant.audit("vault.delete", vault_id)) == 1
    for call in ("get", "delete"):
        assert (await getattr(tenant.as_(admin), call)(f"/v1/vaults/{vault_id}")).status_code == 404


async def test_a_deleted_vault_gives_nothing_away(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a")
    http = tenant.as_(tenant.owner)
    await http.delete(f"/v1/vaults/{vault_id}")
    assert (await http.get(f"/v1/vaults/{vault_id}/secrets/a")).status_code == 404
    assert (await http.get(f"/v1/vaults/{vault_id}/secrets")).status_code == 404


async def test_without_a_credential(tenant: Tenant) -> None:
    http = tenant.as_(None)
    for method, path in (("GET", "/v1/vaults"), ("POST", "/v1/vaults"), ("DELETE", f"/v1/vaults/{uuid4()}")):
        assert (await http.request(method, path)).status_code == 401
