"""Who loses an office while a change waits for the agent's row changes nothing."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.vault_api import Tenant
from vault.context import Context


@pytest.mark.parametrize(
    ("method", "verb", "body"),
    [
        ("PATCH", "", {"tx_max_value_eth": "1000"}),
        ("DELETE", "", None),
        ("POST", "/rotate-key", None),
        ("PUT", "/signing-keys", {"signing_key_path": "keys/a", "vault_id": None}),
    ],
)
async def test_a_change_by_somebody_demoted(
    tenant: Tenant, context: Context, method: str, verb: str, body: dict[str, Any] | None
) -> None:
    agent, admin = await tenant.agent(), await tenant.member("admin")
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "keys/a", "11" * 32, type="private_key")
    body = body and {name: value or vault_id for name, value in body.items()}
    row = "SELECT * FROM agents WHERE id = :id"
    (before,) = await tenant.rows(row, id=agent.id)
    async with context.database.begin() as signing:
        await signing.execute(text(f"{row} FOR SHARE"), {"id": agent.id})
        asked = asyncio.create_task(tenant.as_(admin).request(method, f"/v1/agents/{agent.id}{verb}", json=body))
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'agents'"
        # ends: the lock's own timeout ends the request at the latest
        while not asked.done() and not await tenant.rows(waits):
            await asyncio.wait([asked], timeout=0.02)
        assert not asked.done(), "it did not wait"
        await tenant.change("UPDATE memberships SET role = 'member' WHERE user_id = :id", id=admin.id)
    assert (await asked).status_code == 403
    assert await tenant.rows(row, id=agent.id) == [before]
    assert await tenant.rows("SELECT 1 FROM agent_signing_keys WHERE agent_id = :id", id=agent.id) == []
