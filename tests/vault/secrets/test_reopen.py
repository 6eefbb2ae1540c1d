"""Deleted vaults and closed organisations come back with their keys, whatever took their place or room meanwhile."""

import pytest

from tests.support.factories import audit_rows, make_user
from tests.support.vault_api import Tenant
from tests.vault.secrets.test_undo import PATH, delete, generate, ok, signer_of


async def test_a_restored_vault_whose_name_was_taken(tenant: Tenant) -> None:
    vault_id, http = await tenant.vault(name="treasury"), tenant.as_(tenant.owner)
    await generate(tenant, vault_id)
    url = f"/v1/vaults/{vault_id}"
    assert (await http.post(f"{url}/restore")).status_code == 409
    await ok(http.delete(url))
    await tenant.vault(name="treasury")
    assert (await http.post(f"{url}/restore")).status_code == 409
    for name in ("", "__agent-keys", "x" * 256, 7):
        assert (await http.post(f"{url}/restore", json={"name": name})).status_code == 400
    back = await http.post(f"{url}/restore", json={"name": " old treasury "})
    assert (back.status_code, back.json()["name"], back.json()["id"]) == (200, "old treasury", vault_id)
    assert (await http.get(url)).status_code == 200
    assert (await http.post("/v1/vaults/00000000-0000-0000-0000-000000000000/restore")).status_code == 404


async def test_a_tier_without_room_does_not_keep_keys_out_of_reach(tenant: Tenant) -> None:
    vault_id, name = await tenant.vault(), f"tier-{tenant.owner.org_id}"
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    await generate(tenant, vault_id)
    await tenant.change(
        "INSERT INTO tiers (name, max_secrets, max_vaults, has_cmek) VALUES (:name, 0, 0, false)", name=name
    )
    await tenant.change("UPDATE organisations SET tier = :name WHERE id = :id", name=name, id=tenant.owner.org_id)
    await delete(http, url)
    await ok(http.post(f"{url}/secret-restore/{PATH}"))
    await ok(http.delete(url))
    await ok(http.post(f"{url}/restore"))


@pytest.mark.parametrize("closer", ["self", "administrator"])
async def test_a_closed_organisation_is_opened_again(tenant: Tenant, closer: str) -> None:
    boss = await make_user(tenant.database, is_platform_admin=True)
    http, admin = tenant.as_(tenant.owner), tenant.as_(boss)
    vault_id, gone, agent = await tenant.vault(), await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    address = (await generate(tenant, vault_id)).lower()
    await ok(http.delete(f"/v1/vaults/{gone}"))
    org_id, url = tenant.owner.org_id, f"/v1/admin/orgs/{tenant.owner.org_id}/restore"
    assert (await admin.post(url)).status_code == 409
    if closer == "self":
        await ok(http.request("DELETE", "/v1/auth/me", json={"confirmation": "DELETE MY ACCOUNT"}))
    else:
        await ok(admin.delete(f"/v1/admin/users/{tenant.owner.id}"))
    assert await signer_of(tenant, agent) == 403
    listed = (await admin.get("/v1/admin/orgs/closed")).json()["organisations"]
    assert [each["vaults"] for each in listed if each["org_id"] == str(org_id)] == [1]
    heir = await make_user(tenant.database)
    for who in (heir, agent):
        assert (await tenant.as_(who).post(url)).status_code in (401, 403)
    assert (await admin.post(url, json={"owner_email": "nobody@example.com"})).status_code == 404
    back = await admin.post(url, json={"owner_email": heir.email})
    assert back.json() == {"org_id": str(org_id), "vaults": 1, "agents": 1, "owner_id": str(heir.id)}
    assert (await admin.post(url)).status_code == 409
    assert await signer_of(tenant, agent) == address
    # nothing acts before its owner says so: the agent is there, switched off and without a key
    assert (await tenant.as_(agent).get("/v1/vaults")).status_code == 401
    (row,) = await tenant.rows("SELECT is_active, key_hash, deleted_at FROM agents WHERE id = :id", id=agent.id)
    assert (row["is_active"], row["key_hash"], row["deleted_at"]) == (False, None, None)
    mine = {each["id"] for each in (await tenant.as_(heir).get("/v1/vaults")).json()["vaults"]}
    assert mine == {vault_id}
    assert (await tenant.as_(heir).post(f"/v1/vaults/{gone}/restore")).status_code == 200
    assert [row.action for row in await audit_rows(tenant.database, org_id, "org.restore")] == ["org.restore"]


async def test_a_vault_of_an_organisation_that_was_left_is_the_administrators_to_restore(tenant: Tenant) -> None:
    boss = await make_user(tenant.database, is_platform_admin=True)
    vault_id = await tenant.vault()
    await generate(tenant, vault_id)
    await ok(tenant.as_(tenant.owner).delete(f"/v1/vaults/{vault_id}"))
    assert (await tenant.as_(boss).post(f"/v1/vaults/{vault_id}/restore")).status_code == 404
    heir = await make_user(tenant.database)
    moved = "UPDATE memberships SET org_id = :there WHERE user_id = :id"
    await tenant.change(moved, there=boss.org_id, id=tenant.owner.id)
    assert (await tenant.as_(boss).post(f"/v1/vaults/{vault_id}/restore")).status_code == 200
    url = f"/v1/admin/orgs/{tenant.owner.org_id}/restore"
    back = (await tenant.as_(boss).post(url, json={"owner_email": heir.email})).json()
    assert (back["vaults"], back["agents"], back["owner_id"]) == (0, 0, str(heir.id))


async def test_whom_another_organisation_needs_is_not_taken_from_it(tenant: Tenant) -> None:
    boss = await make_user(tenant.database, is_platform_admin=True)
    needed = await Tenant.found(tenant.app)
    await needed.vault()
    await ok(tenant.as_(tenant.owner).request("DELETE", "/v1/auth/me", json={"confirm": "DELETE MY ACCOUNT"}))
    url = f"/v1/admin/orgs/{tenant.owner.org_id}/restore"
    assert (await tenant.as_(boss).post(url, json={"owner_email": needed.owner.email})).status_code == 409
    assert (await tenant.as_(boss).post(url)).json() == {"org_id": str(tenant.owner.org_id), "vaults": 0, "agents": 0}
    await needed.close()
