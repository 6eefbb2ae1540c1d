"""What is taken back while a change waits for another writer counts, as if it had been before."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from tests.support.factories import Person, Robot
from tests.support.vault_api import Tenant
from vault.context import Context

REVOKE = "DELETE FROM policies WHERE vault_id = :id"
ROTATE = "UPDATE agents SET token_version = token_version + 1 WHERE id = :who"
CLOSE = "UPDATE vaults SET deleted_at = clock_timestamp() WHERE id = :id"


async def ask_and_wait(
    tenant: Tenant, context: Context, who: Person | Robot, vault_id: str, method: str, verb: str, change: str
) -> httpx.Response:
    """A request about the secret `a` of somebody who has to wait for another writer, who makes a change meanwhile."""
    body: dict[str, Any] = {"value": "late"} if method == "PUT" else {}
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'vaults|secret'"
    async with context.database.begin() as transaction:
        for held in (
            "SELECT 1 FROM vaults WHERE id = :id FOR UPDATE",
            "SELECT 1 FROM secrets WHERE vault_id = :id FOR UPDATE",
            "SELECT 1 FROM secret_versions v JOIN secrets s ON s.id = v.secret_id WHERE s.vault_id = :id"
            " FOR UPDATE OF v",
        ):
            await transaction.execute(text(held), {"id": vault_id})
        asked = asyncio.create_task(tenant.as_(who).request(method, f"/v1/vaults/{vault_id}/{verb}", json=body))
        # ends: the lock's own timeout ends the request at the latest
        while not asked.done() and not await tenant.rows(waiting):
            await asyncio.wait([asked], timeout=0.02)
        assert not asked.done(), "it did not wait"
        await transaction.execute(text(change), {"id": vault_id, "who": who.id})
    return await asked


async def state(tenant: Tenant, vault_id: str) -> list[Any]:
    return await tenant.rows(
        "SELECT v.version, v.disabled_at, v.deleted_at FROM secret_versions v JOIN secrets s ON s.id = v.secret_id"
        " WHERE s.vault_id = :id ORDER BY v.version",
        id=UUID(vault_id),
    )


@pytest.mark.parametrize(
    ("method", "verb"),
    [
        ("PUT", "secrets/a"),
        ("DELETE", "secrets/a"),
        ("POST", "secret-rotate/a"),
        ("POST", "secret-generate/new"),
        ("POST", "secret-version/a/1/disable"),
    ],
)
async def test_a_policy_that_is_taken_back(tenant: Tenant, context: Context, method: str, verb: str) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.put(vault_id, "a")
    await tenant.grant(vault_id, agent, "*", ("write",))
    before = await state(tenant, vault_id)
    answer = await ask_and_wait(tenant, context, agent, vault_id, method, verb, REVOKE)
    assert answer.status_code == 403, answer.text
    assert await state(tenant, vault_id) == before


@pytest.mark.parametrize(
    ("method", "verb"),
    [("PUT", "secrets/a"), ("DELETE", "secrets/a"), ("GET", "secrets/a"), ("POST", "secret-version/a/1/disable")],
)
async def test_a_credential_that_is_ended(tenant: Tenant, context: Context, method: str, verb: str) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.put(vault_id, "a", max_access_count=5)
    await tenant.grant(vault_id, agent, "*", ("read", "write"))
    before = await state(tenant, vault_id)
    answer = await ask_and_wait(tenant, context, agent, vault_id, method, verb, ROTATE)
    assert answer.status_code == 401, answer.text
    assert await state(tenant, vault_id) == before


async def test_a_vault_that_is_deleted(tenant: Tenant, context: Context) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a")
    await tenant.as_(tenant.owner).delete(f"/v1/vaults/{vault_id}/secrets/a")
    answer = await ask_and_wait(tenant, context, tenant.owner, vault_id, "POST", "secret-restore/a", CLOSE)
    assert answer.status_code == 404, answer.text


async def test_permission_to_read_what_a_rotation_takes_over(tenant: Tenant, context: Context) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.put(vault_id, "a", metadata={"team": "a"})
    await tenant.grant(vault_id, agent, "a", ("write",))
    await tenant.grant(vault_id, agent, "a", ("read",))
    reading = f"{REVOKE} AND permissions = '{{read}}'"
    answer = await ask_and_wait(tenant, context, agent, vault_id, "POST", "secret-rotate/a", reading)
    assert (answer.status_code, answer.json()["metadata"]) == (201, {})


@pytest.mark.parametrize(
    "verb", ["secret-restore/a", "secret-version/a/1/enable", "secret-version/a/1/extend", "restore"]
)
async def test_who_may_undo_nothing_here_takes_no_lock(tenant: Tenant, context: Context, verb: str) -> None:
    """Refused at once while another writer holds the rows: a stranger could else hold up the vault's own people."""
    vault_id, agent, narrowed = await tenant.vault(), await tenant.agent(), await tenant.member(scopes=("a",))
    stranger = await Tenant.found(tenant.app)
    strange_agent = await stranger.agent()
    await tenant.put(vault_id, "a")
    async with context.database.begin() as transaction:
        await transaction.execute(text("SELECT 1 FROM vaults WHERE id = :id FOR UPDATE"), {"id": vault_id})
        await transaction.execute(text("SELECT 1 FROM secrets WHERE vault_id = :id FOR UPDATE"), {"id": vault_id})
        for who, status in ((stranger.owner, 404), (strange_agent, 404), (agent, 403), (narrowed, 403)):
            body = {"expires_at": None} if verb.endswith("extend") else None
            answer = await tenant.as_(who).post(f"/v1/vaults/{vault_id}/{verb}", json=body)
            assert answer.status_code == status, answer.text
    await stranger.close()
