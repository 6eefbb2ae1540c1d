"""What was changed behind our back in the database is an error, told and audited; never another value."""

import pytest

from tests.support.vault_api import Tenant

TAKE = """
UPDATE secret_versions
SET sealed = (SELECT sealed FROM secret_versions WHERE secret_id = :source AND version = :from_)
WHERE secret_id = :target AND version = :to
RETURNING 1
"""


async def refused(tenant: Tenant, vault_id: str, path: str, secret_id: str, version: int) -> None:
    """Both ways to read answer 409 with the reason, write no read into the audit, and charge none."""
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    for address in (f"{url}/secrets/{path}", f"{url}/secret-version/{path}/{version}"):
        answer = await http.get(address)
        assert answer.status_code == 409, answer.text
        assert "altered" in answer.json()["detail"]
        assert set(answer.json()) == {"type", "title", "status", "detail"}
    assert await tenant.audit("secret.read", secret_id) == []
    written = await tenant.audit("secret.seal_broken", secret_id)
    assert [row["details"] for row in written] == [{"vault_id": vault_id, "path": path, "version": version}] * 2
    assert str(written[0]["actor_id"]) == str(tenant.owner.id)
    (row,) = await tenant.rows(
        "SELECT access_count FROM secret_versions WHERE secret_id = :id AND version = :v", id=secret_id, v=version
    )
    assert row["access_count"] == 0


async def test_a_value_of_another_path(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    one = await tenant.put(vault_id, "a", "one")
    two = await tenant.put(vault_id, "b/c", "two", max_access_count=5)
    await tenant.rows(TAKE, source=one["id"], from_=1, target=two["id"], to=1)
    await refused(tenant, vault_id, "b/c", two["id"], 1)
    # storing it anew mends it
    await tenant.put(vault_id, "b/c", "three")
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/b/c")).json()["value"] == "three"


async def test_a_value_of_another_vault(tenant: Tenant) -> None:
    here, there = await tenant.vault(), await tenant.vault()
    one, two = await tenant.put(here, "a", "one"), await tenant.put(there, "a", "two")
    await tenant.rows(TAKE, source=one["id"], from_=1, target=two["id"], to=1)
    await refused(tenant, there, "a", two["id"], 1)


async def test_the_version_before_rolled_back(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "a", "leaked")
    await tenant.put(vault_id, "a", "new")
    await tenant.rows(TAKE, source=made["id"], from_=1, target=made["id"], to=2)
    await refused(tenant, vault_id, "a", made["id"], 2)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE secrets SET path = 'other' WHERE id = :id RETURNING 1",
        "UPDATE secret_versions SET version = 2 WHERE secret_id = :id RETURNING 1",
        "UPDATE secrets SET vault_id = CAST(:there AS uuid) WHERE id = :id RETURNING 1",
    ],
)
async def test_a_row_moved_as_a_whole(tenant: Tenant, change: str) -> None:
    here, there = await tenant.vault(), await tenant.vault()
    made = await tenant.put(here, "a", "one")
    await tenant.rows(change, id=made["id"], **({"there": there} if ":there" in change else {}))
    vault_id = there if ":there" in change else here
    await refused(
        tenant, vault_id, "other" if "path" in change else "a", made["id"], 2 if "SET version" in change else 1
    )


@pytest.mark.parametrize("sealed", ["", "00", "00" * 100])
async def test_rubbish(tenant: Tenant, sealed: str) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "a", "one")
    await tenant.rows(
        "UPDATE secret_versions SET sealed = decode(:sealed, 'hex') WHERE secret_id = :id RETURNING 1",
        sealed=sealed,
        id=made["id"],
    )
    await refused(tenant, vault_id, "a", made["id"], 1)


async def test_one_bit(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "a", "one")
    (row,) = await tenant.rows("SELECT length(sealed) AS n FROM secret_versions WHERE secret_id = :id", id=made["id"])
    flip = (
        "UPDATE secret_versions SET sealed = set_bit(sealed, :at, 1 - get_bit(sealed, :at))"
        " WHERE secret_id = :id RETURNING 1"
    )
    for byte in range(row["n"]):
        await tenant.rows(flip, at=byte * 8, id=made["id"])
        answer = await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/a")
        assert answer.status_code == 409, byte
        await tenant.rows(flip, at=byte * 8, id=made["id"])
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/a")).json()["value"] == "one"
