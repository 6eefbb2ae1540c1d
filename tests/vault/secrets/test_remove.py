"""Deletion, revival and restoration."""

from tests.support.factories import Person, Robot
from tests.support.vault_api import Tenant
from vault.secrets.signing_key import find_signing_key


async def test_delete_then_revive(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/a"
    assert (await http.delete(url)).status_code == 404
    made = await tenant.put(vault_id, "a", "old", type="note")
    gone = await http.delete(url)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await http.get(url)).status_code == 410
    assert (await http.delete(url)).status_code == 404
    assert (await http.get(f"/v1/vaults/{vault_id}/secrets")).json()["secrets"] == []
    assert len(await tenant.audit("secret.delete", made["id"])) == 1

    again = await tenant.put(vault_id, "a", "new")
    assert (again["id"], again["version"], again["type"]) == (made["id"], 2, "note")
    assert (await http.get(url)).json()["value"] == "new"
    old, new = await tenant.rows(
        "SELECT deleted_at FROM secret_versions WHERE secret_id = :id ORDER BY version", id=made["id"]
    )
    assert old["deleted_at"] is not None
    assert new["deleted_at"] is None


async def test_restore_brings_back_what_that_deletion_took(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    made = await tenant.put(vault_id, "a/b", "first life")
    await http.delete(f"{url}/secrets/a/b")
    await tenant.put(vault_id, "a/b", "two", max_access_count=2)
    await tenant.put(vault_id, "a/b", "three")
    await http.post(f"{url}/secret-version/a/b/3/disable")
    assert (await http.get(f"{url}/secrets/a/b")).json()["value"] == "two"
    await http.delete(f"{url}/secrets/a/b")

    restored = await http.post(f"{url}/secret-restore/a/b")
    assert (restored.status_code, restored.content) == (204, b"")
    (written,) = await tenant.audit("secret.restore", made["id"])
    assert written["details"] == {"vault_id": vault_id, "path": "a/b", "versions": 2}
    listed = (await http.get(f"{url}/secret-versions/a/b")).json()["versions"]
    assert [(each["version"], each.get("is_disabled")) for each in listed] == [(3, True), (2, None)]
    assert [each["path"] for each in (await http.get(f"{url}/secrets")).json()["secrets"]] == ["a/b"]
    # one of its two reads was used before
    assert [(await http.get(f"{url}/secrets/a/b")).status_code for _ in range(2)] == [200, 410]
    assert (await http.get(f"{url}/secret-version/a/b/1")).status_code == 410
    assert (await tenant.put(vault_id, "a/b"))["version"] == 4


async def test_restore_of_what_is_not_deleted(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secret-restore"
    assert (await http.post(f"{url}/a")).status_code == 404
    await tenant.put(vault_id, "a")
    assert (await http.post(f"{url}/a")).status_code == 409
    await http.delete(f"/v1/vaults/{vault_id}/secrets/a")
    # revived by a new value: what was deleted before stays so
    await tenant.put(vault_id, "a")
    assert (await http.post(f"{url}/a")).status_code == 409


async def test_who_may_restore(tenant: Tenant) -> None:
    admin, member, agent = await tenant.member("admin"), await tenant.member(), await tenant.agent()
    narrowed = await tenant.member("admin", scopes=("a",))
    vault_id = await tenant.vault(member)
    for who in (agent, narrowed):
        await tenant.grant(vault_id, who, permissions=("read", "write"))
    url = f"/v1/vaults/{vault_id}"

    async def restore_as(who: Person | Robot) -> int:
        await tenant.as_(member).put(f"{url}/secrets/a", json={"value": "x"})
        await tenant.as_(member).delete(f"{url}/secrets/a")
        return (await tenant.as_(who).post(f"{url}/secret-restore/a")).status_code

    assert [await restore_as(who) for who in (admin, tenant.owner, member)] == [204] * 3
    others = [agent, narrowed, await tenant.member(), await tenant.agent()]
    assert [await restore_as(who) for who in others] == [403] * 4
    # nor whoever may not, whether or not there is anything
    assert (await tenant.as_(agent).post(f"{url}/secret-restore/nothing")).status_code == 403
    own = await tenant.vault(agent)
    bot = tenant.as_(agent)
    await bot.put(f"/v1/vaults/{own}/secrets/a", json={"value": "x"})
    await bot.delete(f"/v1/vaults/{own}/secrets/a")
    assert (await bot.post(f"/v1/vaults/{own}/secret-restore/a")).status_code == 403
    stranger = await Tenant.found(tenant.app)
    assert (await stranger.as_(stranger.owner).post(f"{url}/secret-restore/a")).status_code == 404
    await stranger.close()


async def test_a_restored_key_signs_again(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    made = (await http.post(f"{url}/secret-generate/k")).json()
    await http.delete(f"{url}/secrets/k")
    await http.post(f"{url}/secret-restore/k")
    async with tenant.database.begin() as connection:
        key = await find_signing_key(connection, agent.caller, "k")
    assert "0x" + key.address.hex() == made["metadata"]["address"].lower()


async def test_a_restored_secret_needs_room_in_the_tier(tenant: Tenant) -> None:
    vault_id, name = await tenant.vault(), f"tier-{tenant.owner.org_id}"
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    await tenant.put(vault_id, "a")
    await http.delete(f"{url}/secrets/a")
    await tenant.put(vault_id, "b")
    await tenant.change("INSERT INTO tiers (name, max_secrets, has_cmek) VALUES (:name, 1, false)", name=name)
    await tenant.change("UPDATE organisations SET tier = :name WHERE id = :id", name=name, id=tenant.owner.org_id)
    refused = await http.post(f"{url}/secret-restore/a")
    assert (refused.status_code, refused.json()["type"]) == (403, "resource_limit_exceeded")
    # a further version of what lives needs none
    assert (await http.post(f"{url}/secret-rotate/b")).status_code == 201
    await http.delete(f"{url}/secrets/b")
    assert (await http.post(f"{url}/secret-restore/a")).status_code == 204
