"""Who reads what, how often and until when."""

import asyncio

from tests.support.vault_api import Tenant


async def test_permission_comes_before_existence(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.put(vault_id, "here")
    await tenant.grant(vault_id, agent, "mine/*")
    http = tenant.as_(agent)
    details = set()
    for path in ("here", "not-here"):
        answer = await http.get(f"/v1/vaults/{vault_id}/secrets/{path}")
        assert answer.status_code == 403
        details.add(answer.json()["detail"])
    assert len(details) == 1
    assert (await http.get(f"/v1/vaults/{vault_id}/secrets/mine/a")).status_code == 404
    assert (await http.put(f"/v1/vaults/{vault_id}/secrets/mine/a", json={"value": "x"})).status_code == 403
    assert (await http.delete(f"/v1/vaults/{vault_id}/secrets/here")).status_code == 403
    assert await tenant.rows("SELECT 1 FROM secrets WHERE vault_id = :id AND path <> 'here'", id=vault_id) == []


async def test_expiry(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/a"
    made = await tenant.put(vault_id, "a", expires_at="2099-01-01T00:00:00Z")
    assert made["expires_at"] == "2099-01-01T00:00:00Z"
    assert (await http.get(url)).status_code == 200
    await tenant.put(vault_id, "a", expires_at="2020-01-01T00:00:00Z")
    assert (await http.get(url)).status_code == 410
    await tenant.put(vault_id, "a")
    assert (await http.get(url)).status_code == 200


async def test_a_disabled_version_gives_way_to_the_one_before(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/a"
    await tenant.put(vault_id, "a", "one")
    made = await tenant.put(vault_id, "a", "two")
    disable = "UPDATE secret_versions SET disabled_at = now() WHERE secret_id = :id AND version = :v RETURNING 1"
    await tenant.rows(disable, id=made["id"], v=2)
    assert (await http.get(url)).json()["value"] == "one"
    await tenant.rows(disable, id=made["id"], v=1)
    assert (await http.get(url)).status_code == 410
    assert (await tenant.put(vault_id, "a"))["version"] == 3


async def test_reads_are_counted_exactly(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    made = await tenant.put(vault_id, "a", "x", max_access_count=7)
    http, url = tenant.as_(agent), f"/v1/vaults/{vault_id}/secrets/a"
    # neither listing nor a refused read counts
    await http.get(f"/v1/vaults/{vault_id}/secrets")
    await tenant.as_(await tenant.agent()).get(url)
    answers = await asyncio.gather(*(http.get(url) for _ in range(30)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 7
    assert statuses.count(410) == 23
    assert len(await tenant.audit("secret.read", made["id"])) == 7
    # a new version starts afresh, and 0 is unlimited
    await tenant.put(vault_id, "a", "y", max_access_count=0)
    assert {(await http.get(url)).status_code for _ in range(3)} == {200}
