"""Deletion, revival and restoration."""

from tests.support.vault_api import Tenant


async def test_delete_then_revive(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/a"
    assert (await http.delete(url)).status_code == 404
    made = await tenant.put(vault_id, "a", "old", type="note")
    gone = await http.delete(url)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await http.get(url)).status_code == 410
    assert (await http.delete(url)).status_code == 410
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
