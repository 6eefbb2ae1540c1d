"""Rotations of a vault's key over HTTP, the worker's part called as the worker calls it."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from tests.support.vault_api import Tenant
from vault.context import Context
from vault.kek.rewrap import rewrap, rewrap_part
from vault.vaults import sealed


async def versions_of(tenant: Tenant, vault_id: str) -> list[int]:
    """The numbers of the keys that the vault's values are sealed under, in path order."""
    rows = await tenant.rows(
        "SELECT substring(v.sealed from 2 for 4) AS under FROM secret_versions v JOIN secrets s ON s.id = v.secret_id"
        " WHERE s.vault_id = :id AND v.sealed IS NOT NULL ORDER BY s.path, v.version",
        id=UUID(vault_id),
    )
    return [int.from_bytes(bytes(row["under"]), "big") for row in rows]


async def rotate(tenant: Tenant, vault_id: str) -> dict[str, Any]:
    answer = await tenant.as_(tenant.owner).post(f"/v1/vaults/{vault_id}/rotate-key")
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def shown(tenant: Tenant, vault_id: str, rotation_id: str) -> dict[str, Any]:
    answer = await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/rotate-key/{rotation_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def job_row(tenant: Tenant, rotation_id: str) -> Any:
    return (await tenant.rows("SELECT * FROM kek_rotations WHERE id = :id", id=UUID(rotation_id)))[0]


async def value_of(tenant: Tenant, vault_id: str, path: str) -> str:
    answer = await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/{path}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["value"])


async def test_every_value_moves_to_the_new_key_and_stays_readable(tenant: Tenant, context: Context) -> None:
    vault_id = await tenant.vault()
    for number in range(5):
        await tenant.put(vault_id, f"a/{number}", f"value {number}")
    await tenant.put(vault_id, "a/0", "newer 0")
    await tenant.put(vault_id, "gone", "deleted")
    await tenant.as_(tenant.owner).delete(f"/v1/vaults/{vault_id}/secrets/gone")
    await tenant.rows(
        "UPDATE secret_versions SET disabled_at = now() WHERE version = 2"
        " AND secret_id IN (SELECT id FROM secrets WHERE vault_id = :id) RETURNING 1",
        id=UUID(vault_id),
    )

    started = await rotate(tenant, vault_id)
    assert started | {"created_at": None} == {
        "id": started["id"],
        "vault_id": vault_id,
        "key_version": 2,
        "status": "running",
        "total": 7,
        "processed": 0,
        "failed": 0,
        "created_at": None,
    }
    await tenant.put(vault_id, "during", "during")
    assert (await versions_of(tenant, vault_id)) == [1] * 6 + [2, 1]
    await rewrap(context)
    done = await shown(tenant, vault_id, started["id"])
    assert (done["status"], done["total"], done["processed"], done["failed"]) == ("completed", 7, 7, 0)
    assert done["completed_at"].endswith("Z")
    assert "error" not in done
    assert await versions_of(tenant, vault_id) == [2] * 8
    for number in range(5):
        assert await value_of(tenant, vault_id, f"a/{number}") == f"value {number}"
    assert await value_of(tenant, vault_id, "during") == "during"
    # what was deleted is as it was once it is restored
    await tenant.rows(
        "WITH back AS (UPDATE secrets SET deleted_at = NULL WHERE vault_id = :id RETURNING id)"
        " UPDATE secret_versions SET deleted_at = NULL WHERE secret_id IN (SELECT id FROM back) RETURNING 1",
        id=UUID(vault_id),
    )
    assert await value_of(tenant, vault_id, "gone") == "deleted"

    begun, ended = (
        await tenant.audit("vault.rotate_key", vault_id),
        await tenant.audit("vault.rotate_key_complete", vault_id),
    )
    assert [(row["actor_type"], row["actor_id"]) for row in begun] == [("user", str(tenant.owner.id))]
    assert [row["actor_type"] for row in ended] == ["system"]
    assert ended[0]["details"]["started_by"] == str(tenant.owner.id)


async def test_a_running_rotation_is_the_one(tenant: Tenant, context: Context) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a")
    begun = await asyncio.gather(*(rotate(tenant, vault_id) for _ in range(8)))
    assert len({each["id"] for each in begun}) == 1
    assert len(await tenant.audit("vault.rotate_key", vault_id)) == 1
    await rewrap(context)
    again = await rotate(tenant, vault_id)
    assert (again["key_version"], again["total"]) == (3, 1)
    await rewrap(context)
    assert await versions_of(tenant, vault_id) == [3]
    listed = (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/rotate-key")).json()["rotations"]
    assert [each["key_version"] for each in listed] == [3, 2]
    assert {each["status"] for each in listed} == {"completed"}
    page = await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/rotate-key?limit=1&offset=1")
    assert [each["key_version"] for each in page.json()["rotations"]] == [2]


async def test_a_rotation_goes_on_where_a_worker_stopped(
    tenant: Tenant, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "MAX_VALUES", 2)
    vault_id = await tenant.vault()
    for number in range(7):
        await tenant.put(vault_id, f"p{number}")
    for _ in range(4):
        # more versions of one path than fit into a part
        await tenant.put(vault_id, "p3")
    rotation_id = (await rotate(tenant, vault_id))["id"]
    stale = await job_row(tenant, rotation_id)
    await rewrap_part(context, stale)
    assert (await shown(tenant, vault_id, rotation_id))["processed"] == 2
    # another worker that took up the same part changes nothing
    await rewrap_part(context, stale)
    assert (await shown(tenant, vault_id, rotation_id))["processed"] == 2
    for _ in range(3):
        await rewrap_part(context, await job_row(tenant, rotation_id))
    assert (await shown(tenant, vault_id, rotation_id))["processed"] == 8
    await rewrap(context)
    done = await shown(tenant, vault_id, rotation_id)
    assert (done["status"], done["processed"]) == ("completed", 11)
    assert await versions_of(tenant, vault_id) == [2] * 11


async def test_what_was_in_use_or_came_behind_the_cursor_is_found_too(tenant: Tenant, context: Context) -> None:
    vault_id = await tenant.vault()
    for path in ("a", "b", "c"):
        await tenant.put(vault_id, path)
    old = (await tenant.rows("SELECT sealed FROM secret_versions v JOIN secrets s ON s.id = v.secret_id"
                             " WHERE s.vault_id = :id AND path = 'a'", id=UUID(vault_id)))[0]["sealed"]  # fmt: skip
    rotation_id = (await rotate(tenant, vault_id))["id"]
    async with context.database.begin() as reader:
        # somebody is being charged for a read of b
        await reader.execute(
            sealed.text("SELECT 1 FROM secret_versions v JOIN secrets s ON s.id = v.secret_id"
                        " WHERE s.vault_id = :id AND path = 'b' FOR UPDATE OF v"), {"id": UUID(vault_id)},
        )  # fmt: skip
        await rewrap_part(context, await job_row(tenant, rotation_id))
    assert await versions_of(tenant, vault_id) == [2, 1, 2]
    # as if a writer had sealed it before the rotation and committed it now
    await tenant.rows(
        "UPDATE secret_versions SET sealed = :old WHERE secret_id = (SELECT id FROM secrets WHERE vault_id = :id"
        " AND path = 'a') RETURNING 1",
        id=UUID(vault_id),
        old=old,
    )
    await rewrap(context)
    assert await versions_of(tenant, vault_id) == [2, 2, 2]
    assert (await shown(tenant, vault_id, rotation_id))["status"] == "completed"
    assert await value_of(tenant, vault_id, "a") == "s3cret"


async def test_a_value_that_does_not_open_is_counted_and_stops_nothing(tenant: Tenant, context: Context) -> None:
    vault_id = await tenant.vault()
    for path in ("a", "broken", "c"):
        await tenant.put(vault_id, path)
    await tenant.rows(
        "UPDATE secret_versions SET sealed = substring(sealed from 1 for 80)"
        " WHERE secret_id = (SELECT id FROM secrets WHERE vault_id = :id AND path = 'broken') RETURNING 1",
        id=UUID(vault_id),
    )
    rotation_id = (await rotate(tenant, vault_id))["id"]
    await rewrap(context)
    done = await shown(tenant, vault_id, rotation_id)
    assert (done["status"], done["total"], done["processed"], done["failed"]) == ("completed", 3, 2, 1)
    assert "1 value" in done["error"]
    assert "broken" not in done["error"]
    assert await versions_of(tenant, vault_id) == [2, 1, 2]
    assert await value_of(tenant, vault_id, "c") == "s3cret"


async def test_a_rotation_that_is_stuck_holds_up_no_other(
    tenant: Tenant, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as if there were as many stuck ones as are taken at a time
    monkeypatch.setattr("vault.kek.rewrap.MAX_ROTATIONS", 1)
    stuck, fine = await tenant.vault(), await tenant.vault()
    for vault_id in (stuck, fine):
        await tenant.put(vault_id, "a")
    rotations = [(await rotate(tenant, vault_id))["id"] for vault_id in (stuck, fine)]
    # a key that the signer never made
    set_version = "UPDATE kek_rotations SET key_version = :version WHERE id = :id RETURNING 1"
    await tenant.rows(set_version, version=9, id=UUID(rotations[0]))
    await rewrap(context)
    assert (await shown(tenant, stuck, rotations[0]))["status"] == "running"
    assert (await shown(tenant, fine, rotations[1]))["status"] == "completed"
    await tenant.rows(set_version, version=2, id=UUID(rotations[0]))
    await rewrap(context)
    assert (await shown(tenant, stuck, rotations[0]))["status"] == "completed"


async def test_a_rotation_that_takes_every_turn_leaves_turns_to_others(
    tenant: Tenant, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fine = await tenant.vault(), await tenant.vault()
    for vault_id in (slow, fine):
        await tenant.put(vault_id, "a")
    rotations = [(await rotate(tenant, vault_id))["id"] for vault_id in (slow, fine)]
    stuck = "UPDATE kek_rotations SET key_version = :version WHERE id = :id RETURNING 1"
    await tenant.rows(stuck, version=9, id=UUID(rotations[0]))
    # as if the turn were over after each batch, and the older one filled it
    monkeypatch.setattr("vault.kek.rewrap.MAX_ROTATIONS", 1)
    monkeypatch.setattr("vault.kek.rewrap.TURN_S", 0.0001)
    for _ in range(100):
        await rewrap(context)
    assert (await shown(tenant, fine, rotations[1]))["status"] == "completed"
    await tenant.rows(stuck, version=2, id=UUID(rotations[0]))
    monkeypatch.undo()
    await rewrap(context)
    assert (await shown(tenant, slow, rotations[0]))["status"] == "completed"


async def test_an_empty_vault_and_its_signing_keys(tenant: Tenant, context: Context) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "keys/a", "11" * 32, type="private_key")
    rotation = await rotate(tenant, vault_id)
    assert rotation["total"] == 0
    await rewrap(context)
    assert (await shown(tenant, vault_id, rotation["id"]))["status"] == "completed"


async def test_only_people_who_manage_the_vault(tenant: Tenant, app: FastAPI) -> None:
    vault_id = await tenant.vault()
    agent, member, admin = await tenant.agent(), await tenant.member(), await tenant.member("admin")
    narrowed = await tenant.member("owner", scopes=("a/*",))
    agents_own = await tenant.vault(agent)
    await tenant.grant(vault_id, agent, permissions=("read", "write"))
    for who, where in ((agent, vault_id), (agent, agents_own), (member, vault_id), (narrowed, vault_id)):
        base = f"/v1/vaults/{where}/rotate-key"
        http = tenant.as_(who)
        for answer in (await http.post(base), await http.get(base), await http.get(f"{base}/{uuid4()}")):
            assert answer.status_code == 403
    other = await Tenant.found(app)
    foreign = await other.vault()
    http = tenant.as_(admin)
    for where in (foreign, str(uuid4())):
        base = f"/v1/vaults/{where}/rotate-key"
        for answer in (await http.post(base), await http.get(base), await http.get(f"{base}/{uuid4()}")):
            assert (answer.status_code, answer.json()["detail"]) == (404, "Vault not found")
    await other.close()
    rotation = (await http.post(f"/v1/vaults/{vault_id}/rotate-key")).json()
    second = await tenant.vault()
    assert (await http.get(f"/v1/vaults/{second}/rotate-key/{rotation['id']}")).status_code == 404
    assert (await http.get(f"/v1/vaults/{vault_id}/rotate-key/x")).status_code == 400
    assert (await tenant.as_(None).post(f"/v1/vaults/{vault_id}/rotate-key")).status_code == 401
