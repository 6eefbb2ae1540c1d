"""Which key an agent may sign with: found in one statement, decided by the same rules as a read."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text

from tests.support.factories import Robot
from tests.support.vault_api import Tenant
from vault.errors import Problem
from vault.secrets import signing_key
from vault.secrets.signing_key import SigningKey, find_signing_key

PATH = "keys/anvil-signer"


async def place_key(tenant: Tenant, vault_id: str, path: str = PATH) -> dict[str, object]:
    answer = await tenant.as_(tenant.owner).post(f"/v1/vaults/{vault_id}/secret-generate/{path}")
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def find(tenant: Tenant, agent: Robot, path: str = PATH) -> SigningKey:
    async with tenant.database.begin() as connection:
        return await find_signing_key(connection, agent.caller, path)


async def refusal(tenant: Tenant, agent: Robot, path: str = PATH) -> Problem:
    with pytest.raises(Problem) as caught:
        await find(tenant, agent, path)
    return caught.value


async def refused(tenant: Tenant, agent: Robot, path: str = PATH) -> int:
    return (await refusal(tenant, agent, path)).status


async def test_found_with_a_read_policy_although_never_readable(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent(intents_api_enabled=True)
    made = await place_key(tenant, vault_id)
    assert await refused(tenant, agent) == 403
    await tenant.grant(vault_id, agent, "keys/*")
    key = await find(tenant, agent)
    metadata = made["metadata"]
    assert isinstance(metadata, dict)
    assert "0x" + key.address.hex() == str(metadata["address"]).lower()
    assert (key.vault_id, key.secret_id) == (UUID(vault_id), UUID(str(made["id"])))
    (row,) = await tenant.rows("SELECT key_id FROM secret_versions WHERE secret_id = :id", id=made["id"])
    assert row["key_id"] == key.key_id


async def test_one_statement_however_many_vaults(tenant: Tenant) -> None:
    agent = await tenant.agent()
    for _ in range(3):
        vault_id = await tenant.vault()
        await place_key(tenant, vault_id)
        await tenant.grant(vault_id, agent, "keys/*")
        await tenant.grant(vault_id, agent, "keys/**")
    seen: list[str] = []
    listener = lambda *args: seen.append(args[2])  # noqa: E731 - removed below by identity
    event.listen(tenant.database.engine.sync_engine, "before_cursor_execute", listener)
    try:
        await find(tenant, agent)
    finally:
        event.remove(tenant.database.engine.sync_engine, "before_cursor_execute", listener)
    assert len(seen) == 1


async def test_refusals(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await place_key(tenant, vault_id)
    await tenant.put(vault_id, "keys/plain", "not a key", type="private_key")
    write_only, narrowed = await tenant.agent(), await tenant.agent(scopes=["db/**"])
    expired, elsewhere = await tenant.agent(), await tenant.agent(vault_ids=[UUID(await tenant.vault())])
    await tenant.grant(vault_id, agent, "keys/*")
    await tenant.grant(vault_id, write_only, "keys/*", ("write",))
    await tenant.grant(vault_id, narrowed, "keys/*")
    await tenant.grant(vault_id, expired, "keys/*", expires_at="2020-01-01T00:00:00Z")
    await tenant.grant(vault_id, elsewhere, "keys/*")
    for who in (write_only, narrowed, expired, elsewhere):
        assert await refused(tenant, who) == 403
    assert await refused(tenant, agent, "keys/nothing") == 404
    assert await refused(tenant, agent, "keys/plain") == 400
    assert await refused(tenant, agent, "keys//x") == 400
    assert await refused(tenant, agent, "other/path") == 403


async def test_deleted_disabled_and_expired_keys_sign_nothing(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    http = tenant.as_(tenant.owner)

    await place_key(tenant, vault_id, "deleted")
    await http.delete(f"/v1/vaults/{vault_id}/secrets/deleted")
    assert await refused(tenant, agent, "deleted") == 404

    disabled = await place_key(tenant, vault_id, "disabled")
    await tenant.rows(
        "UPDATE secret_versions SET disabled_at = now() WHERE secret_id = :id RETURNING 1", id=disabled["id"]
    )
    said = await refusal(tenant, agent, "disabled")
    assert said.status == 404
    assert "disabled" in str(said.detail).removeprefix("No signing key at disabled")

    expired = await place_key(tenant, vault_id, "expired")
    await tenant.rows(
        "UPDATE secret_versions SET expires_at = now() WHERE secret_id = :id RETURNING 1", id=expired["id"]
    )
    assert await refused(tenant, agent, "expired") == 410

    await place_key(tenant, vault_id)
    await find(tenant, agent)
    await http.delete(f"/v1/vaults/{vault_id}")
    assert await refused(tenant, agent) == 403


async def test_the_oldest_vault_unless_the_binding_says_otherwise(tenant: Tenant) -> None:
    empty, first, second = [UUID(await tenant.vault()) for _ in range(3)]
    for vault_id in (second, first):
        await place_key(tenant, str(vault_id))
    agent, bound = await tenant.agent(), await tenant.agent(vault_ids=[second, first])
    for who in (agent, bound):
        for vault_id in (second, empty, first):
            await tenant.grant(str(vault_id), who, "keys/*")
    assert (await find(tenant, agent)).vault_id == first
    assert (await find(tenant, bound)).vault_id == second


async def test_an_agent_signs_with_keys_of_its_own_vault(tenant: Tenant) -> None:
    agent = await tenant.agent()
    vault_id = await tenant.vault(agent)
    answer = await tenant.as_(agent).post(f"/v1/vaults/{vault_id}/secret-generate/{PATH}")
    assert answer.status_code == 201
    assert (await find(tenant, agent)).vault_id == UUID(vault_id)
    assert await refused(tenant, await tenant.agent()) == 403


async def test_the_newest_version_signs(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    await place_key(tenant, vault_id)
    replaced = await tenant.put(vault_id, PATH, "11" * 32)
    address = str(replaced["metadata"]["address"])
    assert "0x" + (await find(tenant, agent)).address.hex() == address.lower()


async def test_the_cost_does_not_grow_with_the_organisation(tenant: Tenant) -> None:
    """Every table is entered through an index on the caller, the vault or the path: nothing is scanned whole."""
    async with tenant.database.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await connection.execute(
            text("EXPLAIN " + signing_key._SELECT.text),
            {"principal_id": uuid4(), "principal_type": "agent", "org_id": tenant.owner.org_id, "path": PATH},
        )
        lines = "\n".join(plan.scalars())
    # the clock is one row, whatever the organisation
    assert "Seq Scan" not in lines.replace("Seq Scan on clock", "")
    # the versions of a path are not sorted to find the one that counts; the vaults may be, or come from an index
    assert lines.count("Sort") in (0, 2), lines
    for index in ("principal_id_vault_id", "vaults_created_by", "secrets_vault_id_path", "secret_versions_current"):
        assert index in lines


async def test_a_deleted_key_does_not_come_back_with_its_path(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    made = await place_key(tenant, vault_id)
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/{PATH}"
    await http.delete(url)
    await tenant.put(vault_id, PATH, "22" * 32)
    await tenant.rows(
        "UPDATE secret_versions SET disabled_at = now() WHERE secret_id = :id AND version = 2 RETURNING 1",
        id=made["id"],
    )
    assert await refused(tenant, agent) == 404
    assert (await http.get(url)).status_code == 410
