"""What is deleted already is 404, whatever it was."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from fastapi import FastAPI

from tests.support.factories import make_user
from tests.support.vault_api import Tenant


async def secret(tenant: Tenant) -> str:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a/b")
    return f"/v1/vaults/{vault_id}/secrets/a/b"


async def vault(tenant: Tenant) -> str:
    return f"/v1/vaults/{await tenant.vault()}"


async def policy(tenant: Tenant) -> str:
    vault_id = await tenant.vault()
    return f"/v1/vaults/{vault_id}/policies/{await tenant.grant(vault_id, await tenant.agent())}"


async def agent(tenant: Tenant) -> str:
    return f"/v1/agents/{(await tenant.agent()).id}"


async def member(tenant: Tenant) -> str:
    return f"/v1/org/members/{(await tenant.member()).id}"


async def api_key(tenant: Tenant) -> str:
    return f"/v1/auth/api-keys/{await made(tenant, '/v1/auth/api-keys', {'name': 'k'}, 'key')}"


async def rule(tenant: Tenant) -> str:
    body = {"cidr": "192.0.2.0/24", "rule_type": "deny"}
    return f"/v1/security/ip-rules/{await made(tenant, '/v1/security/ip-rules', body)}"


async def chain(tenant: Tenant) -> str:
    name = f"chain-{uuid4().hex[:12]}"
    body = {"name": name, "display_name": name, "chain_id": uuid4().int % 10**12, "rpc_url": "http://127.0.0.1:1"}
    return f"/v1/admin/chains/{await made(tenant, '/v1/admin/chains', body)}"


async def user(tenant: Tenant) -> str:
    return f"/v1/admin/users/{(await make_user(tenant.database)).id}"


async def made(tenant: Tenant, url: str, body: dict[str, object], within: str | None = None) -> str:
    answer = await tenant.as_(tenant.owner).post(url, json=body)
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    return str((shown[within] if within else shown)["id"])


@pytest.mark.parametrize("make", [secret, vault, policy, agent, member, api_key, rule, chain, user])
async def test_twice(app: FastAPI, make: Callable[[Tenant], Awaitable[str]]) -> None:
    tenant = await Tenant.found(app)
    tenant.owner = await make_user(tenant.database, is_platform_admin=True)
    url, http = await make(tenant), tenant.as_(tenant.owner)
    assert (await http.delete(url)).status_code == 204
    again = await http.delete(url)
    assert again.status_code == 404, again.text
    assert again.json()["detail"]
    await tenant.close()
