"""A person's own account: seeing, changing, taking along and closing it."""

import asyncio
from typing import Any

import pytest

from tests.support.factories import Person, audit_rows
from tests.support.vault_api import Tenant
from tests.vault.auth.people import PASSWORD, a_peer, log_in, mails_to, make_person, token_to
from tests.vault.conftest import Connect
from vault.auth import export
from vault.context import Context
from vault.db import Database

CONFIRMED = {"confirmation": "DELETE MY ACCOUNT"}


async def test_the_profile_says_what_the_contract_says(tenant: Tenant) -> None:
    member = await tenant.member("admin", display_name="Ada")
    me = (await tenant.as_(member).get("/v1/auth/me")).json()
    assert me == {
        "id": str(member.id),
        "email": member.email,
        "display_name": "Ada",
        "auth_method": "password",
        "role": "admin",
        "email_verified": True,
        "marketing_emails": False,
        "totp_enabled": False,
        "org_id": str(tenant.owner.org_id),
        "created_at": me["created_at"],
    }


async def test_only_name_and_mails_can_be_changed(tenant: Tenant) -> None:
    http = tenant.as_(tenant.owner)
    before = (await http.get("/v1/auth/me")).json()
    body = {"display_name": " Ada ", "marketing_emails": True, "email": "eve@example.com", "role": "member"}
    changed = await http.patch("/v1/auth/me", json=body)
    assert changed.status_code == 200
    assert changed.json() == before | {"display_name": "Ada", "marketing_emails": True}
    assert (await http.patch("/v1/auth/me", json={"display_name": None})).json()["display_name"] == "Ada"
    for bad in ({"display_name": "x" * 256}, {"display_name": 1}, {"marketing_emails": "yes"}, [], None):
        assert (await http.patch("/v1/auth/me", json=bad)).status_code == 400
    assert (await http.get("/v1/auth/me")).json() == changed.json()
    assert len(await tenant.audit("user.update", tenant.owner.id)) == 1
    assert (await tenant.as_(await tenant.agent()).patch("/v1/auth/me", json={})).status_code == 403


async def test_the_export_has_everything_but_values(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    http = tenant.as_(tenant.owner)
    vault_id = await tenant.vault(name="mine")
    agent = await tenant.agent()
    await tenant.put(vault_id, "keys/a", "the first value")
    await tenant.put(vault_id, "keys/a", "the second value")
    policy_id = await tenant.grant(vault_id, agent)
    other = await tenant.vault(await tenant.member(), name="theirs")
    stranger = await Tenant.found(tenant.app)
    await stranger.vault()

    answer = await http.post("/v1/auth/export-data")
    assert answer.status_code == 200
    told = answer.json()
    names = ["export_version", "exported_at", "user", "vaults", "agents", "secrets_metadata", "policies"]
    assert list(told) == names
    assert told["export_version"] == "1.0"
    assert told["user"].keys() == {"id", "email", "display_name", "auth_method", "created_at"}
    assert [(each["id"], each["name"]) for each in told["vaults"]] == [(vault_id, "mine")]
    assert [each["id"] for each in told["agents"]] == [str(agent.id)]
    secret = told["secrets_metadata"][0]
    assert (secret["vault_id"], secret["path"], secret["version"]) == (vault_id, "keys/a", 2)
    assert policy_id in [each["id"] for each in told["policies"]]
    assert other not in answer.text
    for hidden in ("the first value", "the second value", tenant.owner.key, "hash", "sealed"):
        assert hidden not in answer.text
    assert len(await tenant.audit("user.export", tenant.owner.id)) == 1
    monkeypatch.setattr(export, "MAX_ROWS", 1)
    await tenant.vault(name="another")
    bounded = (await http.post("/v1/auth/export-data")).json()
    assert len(bounded["vaults"]) == 1
    assert "vaults" in bounded["truncated"]

    assert (await tenant.as_(agent).post("/v1/auth/export-data")).status_code == 403
    narrowed = tenant.as_(await tenant.member(scopes=("keys/*",)))
    assert (await narrowed.post("/v1/auth/export-data")).status_code == 403
    await stranger.close()


async def delete(tenant: Tenant, who: Person, body: Any = CONFIRMED) -> int:
    return (await tenant.as_(who).request("DELETE", "/v1/auth/me", json=body)).status_code


async def test_an_account_is_closed_with_everything_of_it(
    connect: Connect, context: Context, database: Database, tenant: Tenant
) -> None:
    person, http = await make_person(database), connect(peer=a_peer())
    alone = Tenant(database, tenant.app, person)
    vault_id, agent = await alone.vault(), await alone.agent()
    login = (await log_in(http, person.email)).json()["access_token"]
    await http.post("/v1/auth/forgot-password", json={"email": person.email})
    reset = await token_to(context, person.email, "reset-password")
    for wrong in ({}, {"confirmation": "yes"}, {"confirm": "delete my account"}, []):
        assert await delete(alone, person, wrong) == 400
    assert await delete(alone, person, {"confirm": "DELETE MY ACCOUNT"}) == 204

    for credential in (login, person.key):
        assert (await connect(credential).get("/v1/auth/me")).status_code == 401
    assert (await connect(agent.key).get("/v1/agents/me")).status_code == 401
    assert (await log_in(http, person.email)).status_code == 401
    body = {"token": reset, "new_password": PASSWORD}
    assert (await http.post("/v1/auth/reset-password", json=body)).status_code == 400
    rows = await alone.rows("SELECT deleted_at FROM vaults WHERE id = :id", id=vault_id)
    assert rows[0]["deleted_at"] is not None
    assert len(await audit_rows(database, person.org_id, "user.delete")) == 1

    # the address is free again
    await http.post("/v1/auth/signup", json={"email": person.email, "password": PASSWORD})
    again = await http.post(
        "/v1/auth/verify-email", json={"token": await token_to(context, person.email, "verify-email")}
    )
    me = (await connect(again.json()["access_token"]).get("/v1/auth/me")).json()
    assert me["email"] == person.email
    assert (me["id"], me["org_id"]) != (str(person.id), str(person.org_id))
    assert (await mails_to(context, person.email))[-1].subject == "Welcome to Talon"
    await alone.close()


async def test_the_last_owner_stays_for_the_others(tenant: Tenant) -> None:
    second = await tenant.member("owner")
    member = await tenant.member()
    vault_id = await tenant.vault()
    assert await delete(tenant, member) == 204
    # of two owners who go at once, one stays: there is another member
    await tenant.member()
    statuses = await asyncio.gather(delete(tenant, tenant.owner), delete(tenant, second))
    assert sorted(statuses) == [204, 409]
    rows = await tenant.rows("SELECT deleted_at FROM vaults WHERE id = :id", id=vault_id)
    assert rows[0]["deleted_at"] is None


async def test_agents_and_narrowed_keys_close_no_account(tenant: Tenant) -> None:
    agent = tenant.as_(await tenant.agent())
    assert (await agent.request("DELETE", "/v1/auth/me", json=CONFIRMED)).status_code == 403
    assert await delete(tenant, await tenant.member(scopes=("keys/*",))) == 403
