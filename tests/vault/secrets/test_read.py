"""Who reads what, how often and until when."""

import asyncio

import pytest
from sqlalchemy import text

from tests.support.vault_api import Tenant
from vault.context import Context


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


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ("DELETE FROM policies WHERE vault_id = :vault", 403),
        ("UPDATE vaults SET deleted_at = clock_timestamp() WHERE id = :vault", 404),
        (
            "UPDATE secret_versions SET expires_at = clock_timestamp() FROM secrets s"
            " WHERE s.id = secret_id AND s.vault_id = :vault",
            410,
        ),
    ],
)
async def test_what_changed_while_a_read_waited_to_be_charged_counts(
    tenant: Tenant, context: Context, change: str, status: int
) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    made = await tenant.put(vault_id, "a", max_access_count=5)
    await tenant.grant(vault_id, agent, "a")
    held = "SELECT 1 FROM secret_versions WHERE secret_id = :id FOR UPDATE"
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE secret_versions%'"
    async with context.database.begin() as transaction:
        await transaction.execute(text(held), {"id": made["id"]})
        read = asyncio.create_task(tenant.as_(agent).get(f"/v1/vaults/{vault_id}/secrets/a"))
        # ends: the lock's own timeout ends the read at the latest
        while not read.done() and not await tenant.rows(waiting):
            await asyncio.wait([read], timeout=0.02)
        await transaction.execute(text(change), {"vault": vault_id})
    assert (await read).status_code == status
    assert (
        await tenant.rows("SELECT 1 FROM secret_versions WHERE secret_id = :id AND access_count > 0", id=made["id"])
        == []
    )
