"""Values of a vault whose owner encrypts before sending: opaque, and flagged version by version."""

import asyncio

from sqlalchemy import text

from tests.support.vault_api import Tenant

FINGERPRINT = "ab" * 32
SWITCH = text("UPDATE vaults SET cmek_fingerprint = :f WHERE id = :id")


async def switch(tenant: Tenant, vault_id: str, fingerprint: str | None) -> None:
    await tenant.rows(
        "UPDATE vaults SET cmek_fingerprint = :f WHERE id = :id RETURNING 1", f=fingerprint, id=vault_id
    )


async def test_the_flag_is_of_the_version(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    assert "cmek_encrypted" not in await tenant.put(vault_id, "a", "before")
    await switch(tenant, vault_id, FINGERPRINT)
    made = await tenant.put(vault_id, "a", "AQID")
    assert made["cmek_encrypted"] is True
    (row,) = await tenant.rows(
        "SELECT cmek_fingerprint FROM secret_versions WHERE secret_id = :id AND version = 2", id=made["id"]
    )
    assert row["cmek_fingerprint"] == FINGERPRINT
    await switch(tenant, vault_id, None)
    assert "cmek_encrypted" not in await tenant.put(vault_id, "a", "after")
    listed = (await http.get(f"{url}/secret-versions/a")).json()["versions"]
    assert [each.get("cmek_encrypted") for each in listed] == [None, True, None]
    reads = [(await http.get(f"{url}/secret-version/a/{number}")).json() for number in (1, 2, 3)]
    assert [(each["value"], each.get("cmek_encrypted")) for each in reads] == [
        ("before", None),
        ("AQID", True),
        ("after", None),
    ]


async def test_nothing_is_looked_for_in_an_opaque_value(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await switch(tenant, vault_id, FINGERPRINT)
    # a key in plain sight and a broken one: whatever it looks like, it is the customer's ciphertext
    for path, value in (("k", "11" * 32), ("broken", "00")):
        made = await tenant.put(vault_id, path, value, type="private_key", metadata={"exportable": True})
        assert "address" not in made["metadata"]
        read = (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/{path}")).json()
        assert (read["value"], read["cmek_encrypted"]) == (value, True)
    rows = await tenant.rows(
        "SELECT key_id, exportable FROM secret_versions JOIN secrets ON id = secret_id WHERE vault_id = :id",
        id=vault_id,
    )
    assert [(row["key_id"], row["exportable"]) for row in rows] == [(None, False)] * 2


async def test_rotation_needs_the_customers_value(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a")
    await switch(tenant, vault_id, FINGERPRINT)
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secret-rotate/a"
    refused = await http.post(url)
    assert refused.status_code == 409
    assert "CMEK" in refused.json()["detail"]
    assert (await http.post(url, json={"value": "AQID"})).json()["cmek_encrypted"] is True


async def test_a_key_is_still_born_in_the_hsm(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await switch(tenant, vault_id, FINGERPRINT)
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    made = (await http.post(f"{url}/secret-generate/k")).json()
    # there is no value that anybody could have encrypted
    assert "cmek_encrypted" not in made
    assert (await http.put(f"{url}/secrets/k", json={"value": "x"})).status_code == 409


async def test_a_write_waits_for_a_change_of_the_key(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    async with tenant.database.begin() as changing:
        await changing.execute(SWITCH, {"f": FINGERPRINT, "id": vault_id})
        writing = asyncio.create_task(tenant.put(vault_id, "a", "AQID"))
        await asyncio.sleep(0.3)
        assert not writing.done()
    assert (await writing)["cmek_encrypted"] is True


async def test_a_write_does_not_slip_into_a_vault_that_is_being_deleted(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http = tenant.as_(tenant.owner)
    async with tenant.database.begin() as deleting:
        await deleting.execute(text("UPDATE vaults SET deleted_at = now() WHERE id = :id"), {"id": vault_id})
        writing = asyncio.create_task(http.put(f"/v1/vaults/{vault_id}/secrets/a", json={"value": "x"}))
        await asyncio.sleep(0.3)
    assert (await writing).status_code == 404
    assert await tenant.rows("SELECT 1 FROM secrets WHERE vault_id = :id", id=vault_id) == []
