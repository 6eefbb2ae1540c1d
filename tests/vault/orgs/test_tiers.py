"""What a tier leaves room for, also when many want it at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from tests.support.factories import make_user
from tests.support.vault_api import Tenant
from vault.context import Context
from vault.orgs import repository as organisations
from vault.orgs.tiers import has_cmek, require_room, standing
from vault.secrets import repository as secrets


@pytest.fixture
async def limited(tenant: Tenant) -> AsyncIterator[Tenant]:
    """An organisation on a tier of its own: 3 vaults, 2 secrets, 2 agents, no CMEK."""
    name = f"tier-{tenant.owner.org_id}"
    await tenant.change(
        "INSERT INTO tiers (name, max_vaults, max_secrets, max_agents, has_cmek) VALUES (:name, 3, 2, 2, false)",
        name=name,
    )
    await tenant.change("UPDATE organisations SET tier = :name WHERE id = :id", name=name, id=tenant.owner.org_id)
    yield tenant
    await tenant.change("DELETE FROM tiers WHERE name = :name", name=name)


async def make_many(tenant: Tenant, what: str, number: int) -> list[Any]:
    http = tenant.as_(tenant.owner)
    return await asyncio.gather(*(http.post(f"/v1/{what}", json={"name": f"{what} {n}"}) for n in range(number)))


@pytest.mark.parametrize(("what", "room"), [("vaults", 3), ("agents", 2)])
async def test_creations_at_once_stop_at_the_limit(limited: Tenant, what: str, room: int) -> None:
    answers = await make_many(limited, what, 8)
    assert sorted(answer.status_code for answer in answers) == [201] * room + [403] * (8 - room)
    refused = next(answer for answer in answers if answer.status_code == 403).json()
    assert (refused["type"], refused["title"]) == ("resource_limit_exceeded", "Resource Limit Exceeded")
    assert refused["detail"].startswith(f"{what[:-1].title()} limit reached ({room}/{room} on tier-")


async def test_what_is_deleted_makes_room(limited: Tenant) -> None:
    made = await make_many(limited, "vaults", 3)
    http = limited.as_(limited.owner)
    assert (await http.post("/v1/vaults", json={"name": "one more"})).status_code == 403
    await http.delete(f"/v1/vaults/{made[0].json()['id']}")
    assert (await http.post("/v1/vaults", json={"name": "one more"})).status_code == 201


async def test_secrets_count_as_live_paths(limited: Tenant) -> None:
    vaults = [await limited.vault(), await limited.vault()]
    http = limited.as_(limited.owner)

    async def put(path: str, vault: str = vaults[0]) -> int:
        answer = await http.put(f"/v1/vaults/{vault}/secrets/{path}", json={"value": "v"})
        assert answer.status_code == 201 or "Secret limit reached (2/2 on tier-" in answer.json()["detail"]
        return answer.status_code

    statuses = await asyncio.gather(*(put(f"p{number}", vaults[number % 2]) for number in range(6)))
    assert sorted(statuses) == [201] * 2 + [403] * 4
    (there, *_) = [number for number, status in enumerate(statuses) if status == 201]
    # further versions need no room, new paths do, also those of signing keys; what is deleted makes some
    assert [await put(f"p{there}", vaults[there % 2]) for _ in range(3)] == [201] * 3
    assert await put("new") == 403
    generated = await http.post(f"/v1/vaults/{vaults[0]}/secret-generate/new", json={})
    assert generated.status_code == 403
    await http.delete(f"/v1/vaults/{vaults[there % 2]}/secrets/p{there}")
    assert await put("new") == 201
    assert await put(f"p{there}", vaults[there % 2]) == 403


async def test_a_secret_deleted_meanwhile_does_not_come_back_uncounted(limited: Tenant, context: Context) -> None:
    vault_id = await limited.vault()
    for path in ("a", "b"):
        await limited.put(vault_id, path)
    url = f"/v1/vaults/{vault_id}/secrets/a"
    async with context.database.begin() as transaction:
        # somebody deletes it and takes the room, and commits after the other has begun to write
        there = await secrets.lock(transaction, UUID(vault_id), "a")
        assert there is not None
        await secrets.remove(transaction, there["id"], uuid4())
        write = asyncio.create_task(limited.as_(limited.owner).put(url, json={"value": "again"}))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%secrets%'"
        while not write.done() and not await limited.rows(waiting):
            await asyncio.wait([write], timeout=0.02)
        create = "INSERT INTO secrets (id, vault_id, path, latest_version) VALUES (gen_random_uuid(), :id, 'c', 1)"
        await transaction.execute(text(create), {"id": vault_id})
    assert (await write).status_code == 403


@pytest.mark.parametrize(("method", "verb"), [("PUT", "secrets"), ("POST", "secret-generate")])
async def test_a_policy_that_is_taken_back_while_a_write_waits_for_room(
    limited: Tenant, context: Context, method: str, verb: str
) -> None:
    vault_id, agent = await limited.vault(), await limited.agent()
    await limited.grant(vault_id, agent, "*", ("write",))
    body = {"value": "late"} if method == "PUT" else {}
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%room:%'"
    async with context.database.begin() as transaction:
        await require_room(transaction, limited.owner.org_id, "secrets")
        write = asyncio.create_task(limited.as_(agent).request(method, f"/v1/vaults/{vault_id}/{verb}/a", json=body))
        while not write.done() and not await limited.rows(waiting):
            await asyncio.wait([write], timeout=0.02)
        await transaction.execute(text("DELETE FROM policies WHERE vault_id = :id"), {"id": vault_id})
    assert (await write).status_code == 403
    assert await limited.rows("SELECT 1 FROM secrets WHERE vault_id = :id", id=UUID(vault_id)) == []


async def test_a_write_waits_for_nobody_who_changes_the_organisation(limited: Tenant, context: Context) -> None:
    # closing an account holds the organisation first and wants its vaults then, the other way round than a write
    vault_id = await limited.vault()
    async with context.database.begin() as transaction:
        await organisations.lock(transaction, limited.owner.org_id)
        url = f"/v1/vaults/{vault_id}/secrets/a"
        assert (await limited.as_(limited.owner).put(url, json={"value": "v"})).status_code == 201


async def test_writers_and_deleters_of_one_path_never_stand_in_each_others_way(limited: Tenant) -> None:
    vault_id = await limited.vault()
    await limited.put(vault_id, "b")
    http, url = limited.as_(limited.owner), f"/v1/vaults/{vault_id}/secrets/a"

    async def put() -> list[int]:
        return [(await http.put(url, json={"value": "v"})).status_code for _ in range(25)]

    async def delete() -> list[int]:
        return [(await http.delete(url)).status_code for _ in range(25)]

    async def restore() -> list[int]:
        again = f"/v1/vaults/{vault_id}/secret-restore/a"
        return [(await http.post(again)).status_code for _ in range(25)]

    puts, deletions = await asyncio.gather(
        asyncio.gather(*(put() for _ in range(4))), asyncio.gather(delete(), delete(), restore())
    )
    # there is always room for it: the other one is the only other secret
    assert {status for each in puts for status in each} == {201}
    assert {status for each in deletions for status in each} <= {200, 204, 404, 409, 410}
    assert 204 in deletions[0]


async def test_the_vault_of_identity_keys_and_its_secrets_do_not_count(limited: Tenant) -> None:
    await make_many(limited, "agents", 2)
    assert [answer.status_code for answer in await make_many(limited, "vaults", 4)].count(201) == 3


async def test_a_tier_ends_and_an_exception_goes_before_it(limited: Tenant) -> None:
    org_id = limited.owner.org_id

    async def now() -> Any:
        async with limited.database.begin() as connection:
            return await standing(connection, org_id), await has_cmek(connection, org_id)

    found, cmek = await now()
    assert (found.vaults, found.secrets, found.agents, cmek) == (3, 2, 2, False)
    await limited.change("UPDATE organisations SET max_vaults = 9 WHERE id = :id", id=org_id)
    assert (await now())[0].vaults == 9
    await limited.change("UPDATE organisations SET tier_until = now() - interval '1 s' WHERE id = :id", id=org_id)
    found, cmek = await now()
    assert (found.tier, found.vaults, found.secrets, cmek) == (None, 9, None, True)


async def test_the_platform_administrator_is_not_limited(limited: Tenant) -> None:
    await make_user(limited.database, limited.owner.org_id, "member", is_platform_admin=True)
    assert [answer.status_code for answer in await make_many(limited, "vaults", 5)] == [201] * 5


async def test_without_tiers_nothing_is_limited(tenant: Tenant) -> None:
    assert [answer.status_code for answer in await make_many(tenant, "vaults", 5)] == [201] * 5
