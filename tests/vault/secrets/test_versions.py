"""Versions over HTTP: listed without values, read with the same checks as the newest, taken out of service."""

import asyncio

import pytest

from tests.support.vault_api import Tenant

DISABLE = ("secret-version/{path}/{version}/disable", "secret-version-disable/{path}/{version}")


async def test_listed_newest_first_without_values(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "db/x", "one", type="note", metadata={"n": 1}, max_access_count=1)
    await tenant.put(vault_id, "db/x", "two", expires_at="2099-01-01T00:00:00Z")
    await tenant.put(vault_id, "db/x", "three")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    listed = (await http.get(f"{url}/secret-versions/db/x")).json()
    assert set(listed) == {"versions"}
    assert [each["version"] for each in listed["versions"]] == [3, 2, 1]
    assert listed["versions"][2] == made
    assert listed["versions"][1]["expires_at"] == "2099-01-01T00:00:00Z"
    assert "value" not in str(listed)
    assert "is_disabled" not in str(listed)
    page = (await http.get(f"{url}/secret-versions/db/x", params={"limit": 1, "offset": 1})).json()["versions"]
    assert [each["version"] for each in page] == [2]
    # nothing was charged and nothing was revealed
    assert await tenant.audit("secret.read", made["id"]) == []
    assert (await http.get(f"{url}/secret-version/db/x/1")).json()["value"] == "one"


async def test_one_version_is_read_like_the_newest(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "a", "one", type="note")
    await tenant.put(vault_id, "a", "two")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secret-version/a"
    read = await http.get(f"{url}/1")
    assert read.json() == {**made, "value": "one", "created_by": f"user:{tenant.owner.id}"}
    assert read.headers["cache-control"] == "no-store"
    assert (await http.get(f"{url}/2")).json()["value"] == "two"
    assert [row["details"]["version"] for row in await tenant.audit("secret.read", made["id"])] == [1, 2]


async def test_reads_of_a_version_are_counted_with_all_others(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "a", "x", max_access_count=5)
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    answers = await asyncio.gather(
        *(http.get(f"{url}/{way}") for way in ("secrets/a", "secret-version/a/1") for _ in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [410] * 15
    assert len(await tenant.audit("secret.read", made["id"])) == 5
    await tenant.put(vault_id, "a", "y")
    assert (await http.get(f"{url}/secret-version/a/1")).status_code == 410
    assert (await http.get(f"{url}/secrets/a")).status_code == 200


async def test_what_cannot_be_read(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent(intents_api_enabled=True)
    await tenant.grant(vault_id, agent, "keys/*")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    await tenant.put(vault_id, "a", expires_at="2020-01-01T00:00:00Z")
    await tenant.put(vault_id, "a")
    assert (await http.get(f"{url}/secret-version/a/1")).status_code == 410
    assert (await http.get(f"{url}/secret-version/a/3")).status_code == 404
    assert (await http.get(f"{url}/secret-version/b/1")).status_code == 404
    await tenant.put(vault_id, "keys/one", "11" * 32, type="private_key")
    assert (await http.get(f"{url}/secret-version/keys/one/1")).status_code == 403
    await tenant.put(vault_id, "keys/two", "-----BEGIN", type="ssh_key")
    bot = tenant.as_(agent)
    assert (await bot.get(f"{url}/secret-version/keys/two/1")).status_code == 403
    # permission comes before existence
    for path in ("a/1", "nothing/1"):
        assert (await bot.get(f"{url}/secret-version/{path}")).status_code == 403
    assert (await bot.get(f"{url}/secret-version/keys/nothing/1")).status_code == 404
    assert (await bot.get(f"{url}/secret-versions/a")).status_code == 403
    assert [each["version"] for each in (await bot.get(f"{url}/secret-versions/keys/two")).json()["versions"]] == [1]


@pytest.mark.parametrize("version", ["0", "-1", "2147483648", "9" * 5000, "x", "1.5", "1%00", "٣"])
async def test_versions_that_cannot_be(tenant: Tenant, version: str) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    for answer in (
        await http.get(f"{url}/secret-version/a/{version}"),
        await http.post(f"{url}/secret-version/a/{version}/disable"),
        await http.post(f"{url}/secret-version-disable/a/{version}"),
    ):
        assert answer.status_code in (400, 404), answer.text
        assert isinstance(answer.json()["detail"], str)
    assert (await http.get(f"{url}/secret-version/a/2147483647")).status_code == 404


@pytest.mark.parametrize("form", DISABLE)
async def test_disable(tenant: Tenant, form: str) -> None:
    vault_id, reader = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, reader)
    made = await tenant.put(vault_id, "a/b", "one")
    await tenant.put(vault_id, "a/b", "two")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    at = {version: f"{url}/{form.format(path='a/b', version=version)}" for version in (1, 2, 3)}
    assert (await tenant.as_(reader).post(at[2])).status_code == 403
    for _ in range(2):
        done = await http.post(at[2])
        assert (done.status_code, done.content) == (204, b"")
    (written,) = await tenant.audit("secret.disable", made["id"])
    assert written["details"] == {"vault_id": vault_id, "path": "a/b", "version": 2}

    assert (await http.get(f"{url}/secrets/a/b")).json()["value"] == "one"
    assert (await http.get(f"{url}/secret-version/a/b/2")).status_code == 410
    listed = (await http.get(f"{url}/secret-versions/a/b")).json()["versions"]
    assert [(each["version"], each.get("is_disabled")) for each in listed] == [(2, True), (1, None)]
    assert [each["version"] for each in (await http.get(f"{url}/secrets")).json()["secrets"]] == [1]

    assert (await http.post(at[1])).status_code == 204
    assert (await http.get(f"{url}/secrets/a/b")).status_code == 410
    assert (await http.get(f"{url}/secrets")).json()["secrets"] == []
    assert (await http.post(at[3])).status_code == 404
    assert (await http.post(f"{url}/{form.format(path='nothing', version=1)}")).status_code == 404
    assert (await tenant.put(vault_id, "a/b", "three"))["version"] == 3
    await http.delete(f"{url}/secrets/a/b")
    assert (await http.post(at[3])).status_code == 410


async def test_a_deleted_secret_has_no_versions_any_more(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a", "old")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    assert (await http.get(f"{url}/secret-versions/b")).status_code == 404
    await http.delete(f"{url}/secrets/a")
    assert (await http.get(f"{url}/secret-versions/a")).status_code == 410
    assert (await http.get(f"{url}/secret-version/a/1")).status_code == 410
    assert (await http.get(f"{url}/secret-version/a/2")).status_code == 404
    # what was deleted does not come back with its path
    await tenant.put(vault_id, "a", "new")
    listed = (await http.get(f"{url}/secret-versions/a")).json()["versions"]
    assert [each["version"] for each in listed] == [2]
    assert (await http.get(f"{url}/secret-version/a/1")).status_code == 410
    assert (await http.get(f"{url}/secret-version/a/2")).json()["value"] == "new"
