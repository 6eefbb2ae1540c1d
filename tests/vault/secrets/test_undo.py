"""Every way of putting a signing key out of reach is undone, by those who may and for as long as they may."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.support.factories import Person, Robot, audit_rows, make_user
from tests.support.vault_api import Tenant
from tests.support.vault_app import client, make_app
from vault.context import Context
from vault.errors import Problem
from vault.secrets.router import router as secrets
from vault.secrets.signing_key import find_signing_key
from vault.vaults.router import router as vaults

PATH = "keys/base-signer"
NOTE = {"type": "note", "value": "squatter"}
LATE = "31 days"


async def generate(tenant: Tenant, vault_id: str, path: str = PATH, **body: Any) -> str:
    url = f"/v1/vaults/{vault_id}/secret-generate/{path}"
    answer = await tenant.as_(tenant.owner).post(url, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["metadata"]["address"])


async def signer_of(tenant: Tenant, agent: Robot, path: str = PATH) -> str | int:
    """The address an agent signs with, or the status it is refused with."""
    async with tenant.database.begin() as connection:
        try:
            return f"0x{(await find_signing_key(connection, agent.caller, path)).address.hex()}"
        except Problem as problem:
            return problem.status


async def ok(answer: Awaitable[httpx.Response]) -> httpx.Response:
    got = await answer
    assert got.is_success, got.text
    return got


class Way:
    """One way out of reach and the way back, as calls of a human on a vault with a key at PATH."""

    def __init__(
        self, out: Callable[[httpx.AsyncClient, str], Awaitable[Any]], back: tuple[str, str, Any], moves: str
    ) -> None:
        self.out, self.back, self.moves = out, back, moves

    async def undo(self, http: httpx.AsyncClient, url: str) -> httpx.Response:
        method, path, body = self.back
        return await http.request(method, f"{url}{path}", json=body)


async def delete(http: httpx.AsyncClient, url: str) -> None:
    await ok(http.delete(f"{url}/secrets/{PATH}"))


async def delete_and_put(http: httpx.AsyncClient, url: str) -> None:
    await delete(http, url)
    await ok(http.put(f"{url}/secrets/{PATH}", json=NOTE))


async def disable(http: httpx.AsyncClient, url: str) -> None:
    await ok(http.post(f"{url}/secret-version/{PATH}/1/disable"))


async def disable_and_put(http: httpx.AsyncClient, url: str) -> None:
    await disable(http, url)
    await ok(http.put(f"{url}/secrets/{PATH}", json=NOTE))


async def delete_vault(http: httpx.AsyncClient, url: str) -> None:
    await ok(http.delete(url))


MOVED = {
    "deleted": (
        "UPDATE secret_versions SET deleted_at = deleted_at - CAST(:by AS interval)"
        " WHERE secret_id IN (SELECT id FROM secrets WHERE vault_id = :id)",
        "UPDATE secrets SET deleted_at = deleted_at - CAST(:by AS interval) WHERE vault_id = :id",
    ),
    "disabled": (
        "UPDATE secret_versions SET disabled_at = disabled_at - CAST(:by AS interval)"
        " WHERE secret_id IN (SELECT id FROM secrets WHERE vault_id = :id)",
    ),
    "vault": ("UPDATE vaults SET deleted_at = deleted_at - CAST(:by AS interval) WHERE id = :id",),
}
WAYS = {
    "deleted": Way(delete, ("POST", f"/secret-restore/{PATH}", None), "deleted"),
    "deleted, with a note in its place": Way(delete_and_put, ("POST", f"/secret-restore/{PATH}", None), "deleted"),
    "disabled": Way(disable, ("POST", f"/secret-version/{PATH}/1/enable", None), "disabled"),
    "disabled, by the other URL": Way(disable, ("POST", f"/secret-version-enable/{PATH}/1", None), "disabled"),
    "disabled, with a note behind it": Way(
        disable_and_put, ("POST", f"/secret-version/{PATH}/1/enable", None), "disabled"
    ),
    "vault": Way(delete_vault, ("POST", "/restore", None), "vault"),
}


async def age(tenant: Tenant, vault_id: str, way: Way, by: str = LATE) -> None:
    for statement in MOVED[way.moves]:
        await tenant.change(statement, id=vault_id, by=by)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


async def test_it_signs_again_with_policies_as_they_were(tenant: Tenant, way: Way) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent, "keys/*")
    address = (await generate(tenant, vault_id)).lower()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    assert await signer_of(tenant, agent) == address
    await way.out(http, url)
    assert await signer_of(tenant, agent) in (400, 403, 404)
    undone = await way.undo(http, url)
    assert undone.status_code == (200 if way.moves == "vault" else 204), undone.text
    assert await signer_of(tenant, agent) == address
    # people see the key there, and what came later is still to be had
    (listed,) = (await http.get(f"{url}/secrets")).json()["secrets"]
    assert listed["metadata"]["address"].lower() == address
    if "put" in way.out.__name__:
        assert (await http.get(f"{url}/secret-version/{PATH}/2")).json()["value"] == "squatter"
        # and it is no way to displace the key
        assert (await http.put(f"{url}/secrets/{PATH}", json=NOTE)).status_code == 409
        assert (await http.post(f"{url}/secret-rotate/{PATH}")).status_code == 409
    actions = {row.action for row in await audit_rows(tenant.database, tenant.owner.org_id)}
    assert actions & {"secret.restore", "secret.enable", "vault.restore"}


async def test_who_may_undo_it_and_until_when(tenant: Tenant, way: Way) -> None:
    boss = await make_user(tenant.database, is_platform_admin=True)
    admin, plain, agent = await tenant.member("admin"), await tenant.member(), await tenant.agent()
    narrowed, stranger = await tenant.member("owner", scopes=("keys/*",)), await make_user(tenant.database)
    vault_id = await tenant.vault()
    await generate(tenant, vault_id)
    for who in (plain, agent):
        await tenant.grant(vault_id, who, permissions=("read", "write"))
    url = f"/v1/vaults/{vault_id}"

    async def status(who: Person | Robot) -> int:
        return (await way.undo(tenant.as_(who), url)).status_code

    await way.out(tenant.as_(tenant.owner), url)
    assert [await status(who) for who in (plain, agent, narrowed, stranger, boss)] == [403, 403, 403, 404, 404]
    await age(tenant, vault_id, way, "29 days 23 hours")
    assert await status(boss) == 404
    assert await status(admin) in (200, 204)

    if way.out not in (delete, disable, delete_vault):
        return  # nothing is put over a key that is back
    await way.out(tenant.as_(tenant.owner), url)
    await age(tenant, vault_id, way)
    late = await way.undo(tenant.as_(tenant.owner), url)
    assert (late.status_code, "30 days" in late.json()["detail"]) == (403, True)
    assert [await status(who) for who in (admin, stranger, agent)] == [403, 404, 403]
    assert await status(boss) in (200, 204)
    for org_id in (tenant.owner.org_id, boss.org_id):
        (row,) = [row for row in await audit_rows(tenant.database, org_id) if row.actor_id == str(boss.id)]
        assert row.action in ("secret.restore", "secret.enable", "vault.restore")


async def test_having_made_the_vault_is_no_word_against_an_owners(tenant: Tenant, way: Way) -> None:
    member, agent = await tenant.member(), await tenant.agent()
    vault_id = await tenant.vault(member)
    await tenant.grant(vault_id, agent)
    await tenant.grant(vault_id, tenant.owner, permissions=("read", "write"))
    address = (await generate(tenant, vault_id)).lower()
    http, url = tenant.as_(member), f"/v1/vaults/{vault_id}"
    await way.out(tenant.as_(tenant.owner), url)
    refused = await way.undo(http, url)
    assert (refused.status_code, "creator" in refused.text) == (403, False)
    assert await signer_of(tenant, agent) in (400, 403, 404)
    await ok(way.undo(tenant.as_(tenant.owner), url))
    # what he did himself he may undo
    if way.out in (delete, disable, delete_vault):
        await way.out(http, url)
        await ok(way.undo(http, url))
    assert await signer_of(tenant, agent) == address


@pytest.mark.parametrize("name", ["deleted", "deleted, with a note in its place", "disabled"])
async def test_a_member_undoes_what_he_did_while_he_may_still_write_there(tenant: Tenant, name: str) -> None:
    way, vault_id, member = WAYS[name], await tenant.vault(), await tenant.member()
    address = (await generate(tenant, vault_id)).lower()
    agent = await tenant.agent()
    await tenant.grant(vault_id, agent)
    policy = await tenant.grant(vault_id, member, permissions=("write",))
    http, url = tenant.as_(member), f"/v1/vaults/{vault_id}"
    await way.out(http, url)
    await ok(tenant.as_(tenant.owner).delete(f"{url}/policies/{policy}"))
    assert (await way.undo(http, url)).status_code == 403
    await tenant.grant(vault_id, member, permissions=("write",))
    await ok(way.undo(http, url))
    assert await signer_of(tenant, agent) == address


async def test_an_expired_key_is_extended(tenant: Tenant) -> None:
    vault_id, agent, plain = await tenant.vault(), await tenant.agent(), await tenant.member()
    await tenant.grant(vault_id, agent)
    address = (await generate(tenant, vault_id, expires_at="2026-01-01T00:00:00Z")).lower()
    await tenant.change(
        "UPDATE secret_versions SET expires_at = now() - interval '1 hour'"
        " WHERE secret_id = (SELECT id FROM secrets WHERE vault_id = :id)",
        id=vault_id,
    )
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secret-version/{PATH}/1/extend"
    assert await signer_of(tenant, agent) == 410
    for body in ({}, {"expires_at": "soon"}, {"expires_at": "2001-01-01T00:00:00Z"}, None):
        assert (await http.post(url, json=body)).status_code == 400
    for who in (agent, plain):
        assert (await tenant.as_(who).post(url, json={"expires_at": None})).status_code == 403
    answer = await http.post(url, json={"expires_at": "2999-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["expires_at"]) == (200, "2999-01-01T00:00:00Z")
    assert answer.json()["metadata"]["address"].lower() == address
    assert await signer_of(tenant, agent) == address
    assert (await http.post(url, json={"expires_at": "2998-01-01T00:00:00Z"})).status_code == 400
    assert (await http.post(url, json={"expires_at": None})).json().get("expires_at") is None
    assert (await http.post(url, json={"expires_at": "2999-01-01T00:00:00Z"})).status_code == 400
    (listed,) = (await http.get(f"/v1/vaults/{vault_id}/secrets")).json()["secrets"]
    assert listed.get("expires_at") is None
    assert (await http.post(url.replace("/1/", "/2/"), json={"expires_at": None})).status_code == 404


async def test_another_key_over_it_is_taken_away_again(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    first = (await generate(tenant, vault_id)).lower()
    second = (await tenant.put(vault_id, PATH, "17" * 32, type="private_key"))["metadata"]["address"].lower()
    assert await signer_of(tenant, agent) == second
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secret-version/{PATH}/2"
    await ok(http.post(f"{url}/disable"))
    assert await signer_of(tenant, agent) == first
    await ok(http.post(f"{url}/enable"))
    assert await signer_of(tenant, agent) == second


async def test_a_key_that_an_agent_puts_at_the_path_of_a_deleted_one_does_not_keep_it_out(tenant: Tenant) -> None:
    vault_id, agent, squatter = await tenant.vault(), await tenant.agent(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    await tenant.grant(vault_id, squatter, permissions=("read", "write"))
    address = (await generate(tenant, vault_id)).lower()
    http, url, bot = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}", tenant.as_(squatter)
    await delete(http, url)
    mine = {"type": "private_key", "value": "1a" * 32}
    await ok(bot.put(f"{url}/secrets/{PATH}", json=mine))
    assert await signer_of(tenant, agent) == 403
    await ok(http.post(f"{url}/secret-restore/{PATH}"))
    assert await signer_of(tenant, agent) == address
    (listed,) = (await http.get(f"{url}/secrets")).json()["secrets"]
    assert listed["metadata"]["address"].lower() == address
    # and from here on it stays so
    assert (await bot.put(f"{url}/secrets/{PATH}", json=mine)).status_code == 403


@pytest.mark.parametrize("exportable", [False, True])
async def test_where_another_key_came_meanwhile_both_sign_from_paths_of_their_own(
    tenant: Tenant, exportable: bool
) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    made = await tenant.put(vault_id, PATH, "18" * 32, type="private_key", metadata={"exportable": exportable})
    first = made["metadata"]["address"].lower()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    await delete(http, url)
    second = (await generate(tenant, vault_id)).lower()
    refused = await http.post(f"{url}/secret-restore/{PATH}")
    assert (refused.status_code, "`path`" in refused.json()["detail"]) == (409, True)
    await tenant.put(vault_id, "keys/taken")
    for path, status in (("keys/taken", 409), (PATH, 409), ("keys//x", 400), (7, 400)):
        answer = await http.post(f"{url}/secret-restore/{PATH}", json={"path": path})
        assert answer.status_code == status, answer.text
    await ok(http.post(f"{url}/secret-restore/{PATH}", json={"path": "keys/old"}))
    assert await signer_of(tenant, agent) == second
    assert await signer_of(tenant, agent, "keys/old") == first
    read = await http.get(f"{url}/secrets/keys/old")
    assert (read.status_code, read.json().get("value")) == ((200, "18" * 32) if exportable else (403, None))
    again = await http.post(f"{url}/secret-restore/{PATH}")
    assert (again.status_code, again.json()["detail"]) == (409, f"There is no deletion at {PATH} to undo")


@pytest.mark.parametrize("replaced", [False, True])
async def test_restoring_to_another_path_is_no_way_to_read_or_to_move_a_key(tenant: Tenant, replaced: bool) -> None:
    vault_id, member, agent = await tenant.vault(), await tenant.member(), await tenant.agent()
    for who, pattern, permissions in (
        (member, "treasury/*", ("write",)),
        (member, "m/*", ("read", "write")),
        (agent, "m/*", ("read",)),
    ):
        await tenant.grant(vault_id, who, pattern, permissions)
    path, url = "treasury/k", f"/v1/vaults/{vault_id}"
    await tenant.put(vault_id, path, "19" * 32, type="private_key", metadata={"exportable": True})
    http, owner = tenant.as_(member), tenant.as_(tenant.owner)
    await ok(http.delete(f"{url}/secrets/{path}"))
    if replaced:
        await ok(http.put(f"{url}/secrets/{path}", json={"type": "private_key", "value": "1b" * 32}))
    refused = await http.post(f"{url}/secret-restore/{path}", json={"path": "m/k"})
    assert refused.status_code == 403, refused.text
    assert (await http.get(f"{url}/secrets/m/k")).status_code == 404
    assert await signer_of(tenant, agent, "m/k") == 404
    if not replaced:
        # nor does an owner need it: nothing stands in its way at its own path
        refused = await owner.post(f"{url}/secret-restore/{path}", json={"path": "m/k"})
        assert (refused.status_code, "without `path`" in refused.json()["detail"]) == (409, True)
        await ok(http.post(f"{url}/secret-restore/{path}"))
    else:
        await ok(owner.post(f"{url}/secret-restore/{path}", json={"path": "m/k"}))


async def test_what_was_deleted_twice_is_restored_twice(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    address = (await generate(tenant, vault_id)).lower()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    await delete_and_put(http, url)
    await delete(http, url)
    await ok(http.post(f"{url}/secret-restore/{PATH}"))
    assert (await http.get(f"{url}/secrets/{PATH}")).json()["value"] == "squatter"
    await ok(http.post(f"{url}/secret-restore/{PATH}"))
    assert await signer_of(tenant, agent) == address
    assert (await http.post(f"{url}/secret-restore/{PATH}")).status_code == 409


async def test_the_operator_may_give_people_longer(tenant: Tenant, context: Context) -> None:
    longer = replace(context, options=replace(context.options, undo_days=60))
    patient = make_app(longer, (secrets, vaults))
    vault_id = await tenant.vault()
    await generate(tenant, vault_id)
    http, url, way = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}", WAYS["vault"]
    await way.out(http, url)
    await age(tenant, vault_id, way)
    assert (await way.undo(http, url)).status_code == 403
    async with client(patient, tenant.owner.key) as elsewhere:
        assert (await way.undo(elsewhere, url)).status_code == 200
