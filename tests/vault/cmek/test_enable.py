"""Customers' keys over HTTP: naming one for a vault, and naming none."""

from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, insert, update

from tests.support.vault_api import Tenant
from tests.vault.cmek.support import Key
from vault.orgs.models import Organisation, Tier


async def test_enabling_and_disabling_answer_with_the_vault(tenant: Tenant) -> None:
    vault_id, key = await tenant.vault(), Key()
    http = tenant.as_(tenant.owner)
    plain = (await http.get(f"/v1/vaults/{vault_id}")).json()
    assert "cmek_enabled" not in plain
    assert "cmek_fingerprint" not in plain

    for _ in range(2):
        answer = await http.post(f"/v1/vaults/{vault_id}/cmek", json={"fingerprint": key.fingerprint})
        assert answer.status_code == 200, answer.text
        assert answer.json() == plain | {"cmek_enabled": True, "cmek_fingerprint": key.fingerprint}
    assert (await http.get(f"/v1/vaults/{vault_id}")).json() == answer.json()
    assert answer.json() in (await http.get("/v1/vaults")).json()["vaults"]
    other = await http.post(f"/v1/vaults/{vault_id}/cmek", json={"fingerprint": Key().fingerprint})
    assert other.status_code == 409

    for _ in range(2):
        answer = await http.delete(f"/v1/vaults/{vault_id}/cmek")
        assert (answer.status_code, answer.json()) == (200, plain)
    assert len(await tenant.audit("vault.enable_cmek", vault_id)) == 1
    assert len(await tenant.audit("vault.disable_cmek", vault_id)) == 1
    other = await http.post(f"/v1/vaults/{vault_id}/cmek", json={"fingerprint": Key().fingerprint})
    assert other.status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"fingerprint": ""}, {"fingerprint": "a" * 63}, {"fingerprint": "a" * 65}, {"fingerprint": "A" * 64},
     {"fingerprint": "g" * 64}, {"fingerprint": "a" * 64 + "\n"}, {"fingerprint": None}, {"fingerprint": 7}, []],
)  # fmt: skip
async def test_what_is_no_fingerprint(tenant: Tenant, body: object) -> None:
    vault_id = await tenant.vault()
    answer = await tenant.as_(tenant.owner).post(f"/v1/vaults/{vault_id}/cmek", json=body)
    assert answer.status_code == 400


async def test_the_flag_belongs_to_the_version(tenant: Tenant) -> None:
    vault_id, key = await tenant.vault(), Key()
    http = tenant.as_(tenant.owner)
    await tenant.put(vault_id, "a", "plain")
    await http.post(f"/v1/vaults/{vault_id}/cmek", json={"fingerprint": key.fingerprint})
    assert "cmek_encrypted" not in (await http.get(f"/v1/vaults/{vault_id}/secrets/a")).json()
    await tenant.put(vault_id, "a", key.encrypt("mine"))
    await http.delete(f"/v1/vaults/{vault_id}/cmek")
    shown = (await http.get(f"/v1/vaults/{vault_id}/secrets/a")).json()
    assert shown["cmek_encrypted"] is True
    assert key.decrypt(shown["value"]) == "mine"
    await tenant.put(vault_id, "a", "plain again")
    assert "cmek_encrypted" not in (await http.get(f"/v1/vaults/{vault_id}/secrets/a")).json()


async def test_only_people_who_manage_the_vault(tenant: Tenant, app: FastAPI) -> None:
    vault_id, body = await tenant.vault(), {"fingerprint": "a" * 64}
    agent, member = await tenant.agent(), await tenant.member()
    narrowed = await tenant.member("owner", scopes=("a/*",))
    await tenant.grant(vault_id, agent, permissions=("read", "write"))
    for who, where in (
        (agent, vault_id),
        (agent, await tenant.vault(agent)),
        (member, vault_id),
        (narrowed, vault_id),
    ):
        http = tenant.as_(who)
        assert (await http.post(f"/v1/vaults/{where}/cmek", json=body)).status_code == 403
        assert (await http.delete(f"/v1/vaults/{where}/cmek")).status_code == 403
    other = await Tenant.found(app)
    foreign = await other.vault()
    assert (await tenant.as_(tenant.owner).post(f"/v1/vaults/{foreign}/cmek", json=body)).status_code == 404
    assert (await tenant.as_(tenant.owner).delete(f"/v1/vaults/{foreign}/cmek")).status_code == 404
    await other.close()
    assert (await tenant.as_(None).delete(f"/v1/vaults/{vault_id}/cmek")).status_code == 401


async def test_the_vault_of_agents_keys_has_none(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.rows("UPDATE vaults SET is_system = true WHERE id = :id RETURNING 1", id=UUID(vault_id))
    answer = await tenant.as_(tenant.owner).post(f"/v1/vaults/{vault_id}/cmek", json={"fingerprint": "a" * 64})
    assert answer.status_code == 403


async def test_a_tier_without_it(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    name = f"tier {vault_id}"
    async with tenant.database.begin() as connection:
        await connection.execute(insert(Tier).values(name=name, has_cmek=False))
        await connection.execute(update(Organisation).where(Organisation.id == tenant.owner.org_id).values(tier=name))
    http = tenant.as_(tenant.owner)
    answer = await http.post(f"/v1/vaults/{vault_id}/cmek", json={"fingerprint": "a" * 64})
    assert answer.status_code == 403
    assert "tier" in answer.json()["detail"]
    # what was enabled before can still be given up
    await tenant.rows("UPDATE vaults SET cmek_fingerprint = 'x' WHERE id = :id RETURNING 1", id=UUID(vault_id))
    assert (await http.delete(f"/v1/vaults/{vault_id}/cmek")).status_code == 200
    async with tenant.database.begin() as connection:
        await connection.execute(delete(Tier).where(Tier.name == name))
