"""Who may change whom, and that no organisation is ever without an owner."""

import asyncio
from uuid import uuid4

import pytest

from tests.support.factories import Person, audit_rows
from tests.support.vault_api import Tenant

URL = "/v1/org/members"


async def role(tenant: Tenant, person: Person) -> tuple[str, bool]:
    """A person's role, and whether it is in the tenant's organisation."""
    (row,) = await tenant.rows("SELECT role, org_id FROM memberships WHERE user_id = :id", id=person.id)
    return row["role"], row["org_id"] == tenant.owner.org_id


async def test_members_are_listed_for_every_person(tenant: Tenant) -> None:
    member = await tenant.member()
    listed = (await tenant.as_(member).get(URL)).json()["members"]
    assert [(row["id"], row["role"]) for row in listed] == [
        (str(tenant.owner.id), "owner"),
        (str(member.id), "member"),
    ]
    assert set(listed[0]) == {"id", "email", "display_name", "role", "auth_method", "created_at"}
    assert (await tenant.as_(await tenant.agent()).get(URL)).status_code == 403


@pytest.mark.parametrize(
    ("actor", "target", "new", "status"),
    [("owner", "member", "owner", 200), ("owner", "admin", "member", 200), ("admin", "member", "admin", 200),
     ("admin", "admin", "member", 200), ("admin", "member", "owner", 403), ("admin", "owner", "member", 403),
     ("member", "member", "admin", 403)],
)  # fmt: skip
async def test_who_may_change_whom(tenant: Tenant, actor: str, target: str, new: str, status: int) -> None:
    who, whom = await tenant.member(actor), await tenant.member(target)
    answer = await tenant.as_(who).patch(f"{URL}/{whom.id}", json={"role": new})
    assert answer.status_code == status, answer.text
    assert await role(tenant, whom) == (new if status == 200 else target, True)
    if status == 200:
        (row,) = await tenant.audit("org.member_role", whom.id)
        assert (row["details"]["old"], row["details"]["new"]) == (target, new)


@pytest.mark.parametrize(
    ("actor", "target", "status"),
    [("owner", "owner", 204), ("owner", "member", 204), ("admin", "member", 204), ("admin", "owner", 403),
     ("member", "member", 403)],
)  # fmt: skip
async def test_who_may_remove_whom(tenant: Tenant, actor: str, target: str, status: int) -> None:
    who, whom = await tenant.member(actor), await tenant.member(target)
    assert (await tenant.as_(who).delete(f"{URL}/{whom.id}")).status_code == status
    assert (await role(tenant, whom))[1] == (status != 204)


async def test_a_removed_member_starts_anew_without_anything_of_the_old(tenant: Tenant) -> None:
    member = await tenant.member()
    vault = await tenant.vault()
    await tenant.put(vault, "a/b")
    await tenant.grant(vault, member)
    http = tenant.as_(member)
    token = (await http.post("/v1/auth/api-key-token", json={"api_key": member.key})).json()["access_token"]
    assert (await http.get(f"/v1/vaults/{vault}/secrets/a/b")).status_code == 200

    assert (await tenant.as_(tenant.owner).delete(f"{URL}/{member.id}")).status_code == 204
    assert (await http.get(f"/v1/vaults/{vault}/secrets/a/b")).status_code == 404
    http.headers["authorization"] = f"Bearer {token}"
    assert (await http.get(f"/v1/vaults/{vault}/secrets/a/b")).status_code == 401
    assert await role(tenant, member) == ("owner", False)
    assert [row["id"] for row in (await tenant.as_(member).get(URL)).json()["members"]] == [str(member.id)]
    assert await tenant.rows("SELECT FROM policies WHERE principal_id = :id", id=member.id) == []
    assert (await tenant.as_(member).post("/v1/vaults", json={"name": "mine"})).status_code == 201
    (row,) = await audit_rows(tenant.database, tenant.owner.org_id, "org.member_remove")
    assert row.resource_id == str(member.id)


async def test_the_last_owner_stays(tenant: Tenant) -> None:
    await tenant.member("admin")
    http = tenant.as_(tenant.owner)
    for answer in (
        await http.patch(f"{URL}/{tenant.owner.id}", json={"role": "admin"}),
        await http.delete(f"{URL}/{tenant.owner.id}"),
    ):
        assert answer.status_code == 409
        assert "last owner" in answer.json()["detail"]
    assert (await http.patch(f"{URL}/{tenant.owner.id}", json={"role": "owner"})).status_code == 200


@pytest.mark.parametrize("act", ["demote", "remove", "mixed", "leave"])
async def test_two_owners_against_each_other_leave_one(tenant: Tenant, act: str) -> None:
    for _ in range(5):
        owners = [tenant.owner, await tenant.member("owner")]
        requests = []
        for number, (who, whom) in enumerate(zip(owners, reversed(owners), strict=True)):
            target = who if act == "leave" else whom
            http, url = tenant.as_(who), f"{URL}/{target.id}"
            if act == "demote" or (act == "mixed" and number):
                requests.append(http.patch(url, json={"role": "member"}))
            else:
                requests.append(http.delete(url))
        statuses = sorted([answer.status_code for answer in await asyncio.gather(*requests)])
        assert statuses[0] in (200, 204)
        assert statuses[1] in (401, 403, 404, 409)
        left = await tenant.rows(
            "SELECT user_id FROM memberships WHERE org_id = :id AND role = 'owner'", id=tenant.owner.org_id
        )
        assert len(left) == 1
        # the next round begins with the owner that is left
        tenant.owner = next(person for person in owners if person.id == left[0]["user_id"])


async def test_strangers_and_nonsense(tenant: Tenant) -> None:
    other = await Tenant.found(tenant.app)
    http = tenant.as_(tenant.owner)
    for unknown in (other.owner.id, uuid4()):
        assert (await http.patch(f"{URL}/{unknown}", json={"role": "member"})).status_code == 404
        assert (await http.delete(f"{URL}/{unknown}")).status_code == 404
    assert (await http.patch(f"{URL}/{tenant.owner.id}", json={"role": "king"})).status_code == 400
    assert (await http.patch(f"{URL}/nobody", json={"role": "member"})).status_code == 400
    await other.close()
