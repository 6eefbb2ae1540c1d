"""Every account of the platform, and closing one."""

import asyncio
from typing import Any
from uuid import uuid4

from fastapi import FastAPI

from tests.support.factories import Person, audit_rows, make_user
from tests.support.vault_api import Tenant

URL = "/v1/admin/users"


async def everybody(admin: Tenant) -> list[dict[str, Any]]:
    http, found = admin.as_(admin.owner), list[dict[str, Any]]()
    # ends: every page takes the offset further, and the total is finite
    while True:
        page = (await http.get(URL, params={"limit": 200, "offset": len(found)})).json()
        found += page["users"]
        if len(found) >= page["total"] or not page["users"]:
            return found


async def is_admin(tenant: Tenant, person: Person) -> bool:
    (row,) = await tenant.rows("SELECT is_platform_admin FROM users WHERE id = :id", id=person.id)
    return bool(row["is_platform_admin"])


async def test_users_are_listed_with_their_organisation(admin: Tenant, tenant: Tenant) -> None:
    member, nowhere = await tenant.member(), await tenant.member()
    # such an account is on no page, so it must be in no total either
    await tenant.change("DELETE FROM memberships WHERE user_id = :id", id=nowhere.id)
    by_id = {row["id"]: row for row in await everybody(admin)}
    shown = by_id[str(member.id)]
    assert (shown["email"], shown["role"], shown["org_id"]) == (member.email, "member", str(tenant.owner.org_id))
    assert (shown["is_platform_admin"], shown["is_sponsored"]) == (False, False)
    assert by_id[str(admin.owner.id)]["is_platform_admin"] is True
    assert (await admin.as_(admin.owner).get(URL, params={"limit": 1})).json()["total"] == len(by_id)


async def test_a_deleted_account_is_out_at_once(admin: Tenant, tenant: Tenant) -> None:
    member = await tenant.member()
    vault = await tenant.vault()
    await tenant.grant(vault, member)
    assert (await admin.as_(admin.owner).delete(f"{URL}/{member.id}")).status_code == 204
    assert (await tenant.as_(member).get("/v1/vaults")).status_code == 401
    assert str(member.id) not in (await tenant.as_(tenant.owner).get("/v1/org/members")).text
    assert str(member.id) not in {row["id"] for row in await everybody(admin)}
    assert await tenant.rows("SELECT FROM users WHERE email = :email", email=member.email) == []
    assert await tenant.rows("SELECT FROM policies WHERE principal_id = :id", id=member.id) == []
    assert (await admin.as_(admin.owner).delete(f"{URL}/{member.id}")).status_code == 404
    for org_id in (tenant.owner.org_id, admin.owner.org_id):
        (row,) = await audit_rows(tenant.database, org_id, "user.delete")
        assert (row.resource_id, row.actor_id) == (str(member.id), str(admin.owner.id))


async def test_nothing_goes_on_in_an_organisation_that_lost_its_only_person(admin: Tenant, tenant: Tenant) -> None:
    agent, vault = await tenant.agent(), await tenant.vault()
    assert (await admin.as_(admin.owner).delete(f"{URL}/{tenant.owner.id}")).status_code == 204
    assert (await tenant.as_(agent).get("/v1/agents/me")).status_code == 401
    (row,) = await tenant.rows("SELECT deleted_at FROM vaults WHERE id = :id", id=vault)
    assert row["deleted_at"] is not None
    (event,) = await audit_rows(tenant.database, tenant.owner.org_id, "user.delete")
    assert (event.details["deleted_agents"], event.details["deleted_vaults"]) == (1, 1)


async def test_the_last_owner_among_others_stays(admin: Tenant, tenant: Tenant) -> None:
    await tenant.member("admin")
    refused = await admin.as_(admin.owner).delete(f"{URL}/{tenant.owner.id}")
    assert refused.status_code == 409
    assert "last owner" in refused.json()["detail"]
    await tenant.member("owner")
    assert (await admin.as_(admin.owner).delete(f"{URL}/{tenant.owner.id}")).status_code == 204


async def test_an_administrator_is_always_left(admin: Tenant, app: FastAPI) -> None:
    assert (await admin.as_(admin.owner).delete(f"{URL}/{admin.owner.id}")).status_code == 409
    for _ in range(5):
        other = await make_user(admin.database, is_platform_admin=True)
        answers = await asyncio.gather(
            admin.as_(admin.owner).delete(f"{URL}/{other.id}"), admin.as_(other).delete(f"{URL}/{admin.owner.id}")
        )
        assert sorted(answer.status_code for answer in answers)[0] == 204
        assert sorted(answer.status_code for answer in answers)[1] in (401, 403, 404, 409)
        left = [person for person in (admin.owner, other) if await is_admin(admin, person)]
        assert len(left) == 1
        admin.owner = left[0] if left[0] is admin.owner else await make_user(admin.database, is_platform_admin=True)


async def test_who_may(admin: Tenant, tenant: Tenant) -> None:
    for who in (tenant.owner, await tenant.agent()):
        http = tenant.as_(who)
        assert (await http.get(URL)).status_code == 403
        assert (await http.delete(f"{URL}/{admin.owner.id}")).status_code == 403
    assert (await admin.as_(admin.owner).delete(f"{URL}/{uuid4()}")).status_code == 404
