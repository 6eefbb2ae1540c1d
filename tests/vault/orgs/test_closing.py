"""An organisation that is closed leaves nothing that acts, not even what was being made just then."""

import asyncio
from typing import Any

import pytest

from tests.support.factories import make_user
from tests.support.vault_api import Tenant
from vault.agents import service as agents
from vault.auth.close_account import close_account
from vault.context import Context
from vault.orgs.repository import lock
from vault.vaults import service as vaults


async def waiting(tenant: Tenant, task: asyncio.Task[Any]) -> None:
    """Until it waits for the organisation, or is over: then a lock's own timeout may have ended it."""
    query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%organisations%'"
    while not task.done() and not await tenant.rows(query):
        await asyncio.wait([task], timeout=0.02)


async def live(tenant: Tenant) -> list[Any]:
    return await tenant.rows(
        "SELECT id FROM agents WHERE org_id = :id AND deleted_at IS NULL"
        " UNION ALL SELECT id FROM vaults WHERE org_id = :id AND deleted_at IS NULL",
        id=tenant.owner.org_id,
    )


@pytest.mark.parametrize(("what", "service"), [("agents", agents), ("vaults", vaults)])
async def test_what_is_not_committed_yet_goes_with_it(
    tenant: Tenant, context: Context, monkeypatch: pytest.MonkeyPatch, what: str, service: Any
) -> None:
    inside, go_on, write_for = asyncio.Event(), asyncio.Event(), service.write_for

    async def held(*args: Any, **kwargs: Any) -> None:
        inside.set()
        await go_on.wait()
        await write_for(*args, **kwargs)

    async def close() -> None:
        async with context.database.begin() as transaction:
            await close_account(transaction, tenant.owner.id, actor=tenant.owner.caller)

    monkeypatch.setattr(service, "write_for", held)
    making = asyncio.create_task(tenant.as_(tenant.owner).post(f"/v1/{what}", json={"name": "late"}))
    await asyncio.wait_for(inside.wait(), 10)
    closing = asyncio.create_task(close())
    await waiting(tenant, closing)
    go_on.set()
    assert (await making).status_code == 201
    await closing
    assert await live(tenant) == []


@pytest.mark.parametrize("what", ["agents", "vaults"])
async def test_nothing_is_made_behind_it(tenant: Tenant, context: Context, what: str) -> None:
    async with context.database.begin() as transaction:
        await close_account(transaction, tenant.owner.id, actor=tenant.owner.caller)
        making = asyncio.create_task(tenant.as_(tenant.owner).post(f"/v1/{what}", json={"name": "late"}))
        await waiting(tenant, making)
    assert (await making).status_code == 401
    assert await live(tenant) == []


async def test_an_administrator_whose_office_ended_while_he_waited_opens_nothing(
    tenant: Tenant, context: Context
) -> None:
    boss, org_id = await make_user(tenant.database, is_platform_admin=True), tenant.owner.org_id
    http = tenant.as_(tenant.owner)
    assert (
        await http.request("DELETE", "/v1/auth/me", json={"confirmation": "DELETE MY ACCOUNT"})
    ).status_code == 204
    async with context.database.begin() as transaction:
        await lock(transaction, org_id)
        opening = asyncio.create_task(tenant.as_(boss).post(f"/v1/admin/orgs/{org_id}/restore"))
        await waiting(tenant, opening)
        await tenant.change("UPDATE users SET is_platform_admin = false WHERE id = :id", id=boss.id)
    assert (await opening).status_code == 403
    assert (await tenant.rows("SELECT closed_at FROM organisations WHERE id = :id", id=org_id))[0]["closed_at"]
