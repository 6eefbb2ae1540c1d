"""Freezing: who may, what it answers, and its order against signatures."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.support.factories import Person, make_user
from tests.support.locks import until_waiting
from tests.support.vault_api import Tenant
from vault.context import Context
from vault.errors import Problem
from vault.freezes import gate
from vault.freezes.gate import INSTANCE, require_open

WHY = "It pays somebody we do not know"


async def said(tenant: Tenant, who: Person, url: str, body: Any, status: int = 200) -> dict[str, Any]:
    answer = await tenant.as_(who).post(url, json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_an_agent_is_frozen_and_keeps_its_settings(tenant: Tenant) -> None:
    agent = await tenant.agent(intents_api_enabled=True, scopes=["keys/**"])
    admin = await tenant.member("admin")
    url = f"/v1/agents/{agent.id}"
    before = (await tenant.as_(tenant.owner).get(url)).json()
    assert not any(name.startswith("frozen") for name in before)

    frozen = await said(tenant, admin, f"{url}/freeze", {"reason": WHY})
    again = await said(tenant, tenant.owner, f"{url}/freeze", {"reason": "Another reason"})

    assert datetime.fromisoformat(frozen.pop("frozen_at")) <= datetime.now().astimezone()
    members = {"frozen_by": f"user:{admin.id}", "frozen_reason": WHY, "frozen_scope": "agent"}
    assert frozen == {"frozen": True} | members
    assert {name: again[name] for name in members} == members
    shown = (await tenant.as_(tenant.owner).get(url)).json()
    assert {name: shown[name] for name in members} == members
    assert {name: value for name, value in shown.items() if not name.startswith("frozen")} == before
    listed = (await tenant.as_(tenant.owner).get("/v1/agents")).json()["agents"]
    assert [each.get("frozen_reason") for each in listed] == [WHY]
    # it is stopped from signing, not from asking who it is
    assert (await tenant.as_(agent).get("/v1/agents/me")).status_code == 200

    assert await said(tenant, tenant.owner, f"{url}/unfreeze", {"reason": "It was us"}) == {"frozen": False}
    assert await said(tenant, tenant.owner, f"{url}/unfreeze", None) == {"frozen": False}
    after = (await tenant.as_(tenant.owner).get(url)).json()
    assert {name: value for name, value in after.items() if name != "last_active_at"} == before
    assert [row["details"]["reason"] for row in await tenant.audit("agent.freeze", agent.id)] == [WHY]
    (lifted,) = await tenant.audit("agent.unfreeze", agent.id)
    assert lifted["details"] == {
        "reason": "It was us",
        "was_frozen_by": f"user:{admin.id}",
        "was_frozen_for": WHY,
    }


async def test_of_several_stops_each_holds_by_itself(tenant: Tenant, context: Context) -> None:
    one, other = await tenant.agent(), await tenant.agent()
    platform = await make_user(context.database, is_platform_admin=True)

    refusals: list[tuple[int, str, str]] = []

    async def stopped() -> list[str | None]:
        found: list[str | None] = []
        for agent in (one, other):
            try:
                async with context.database.begin() as connection:
                    await require_open(connection, agent.org_id, agent.id, binding=True)
                found.append(None)
            except Problem as problem:
                refusals.append((problem.status, problem.type, problem.extra["frozen_reason"]))
                found.append(problem.extra["frozen_scope"])
        return found

    assert await stopped() == [None, None]
    await said(tenant, tenant.owner, f"/v1/agents/{one.id}/freeze", {"reason": WHY})
    assert await stopped() == ["agent", None]
    await said(tenant, tenant.owner, "/v1/org/freeze", {"reason": WHY})
    assert await stopped() == ["agent", "organisation"]
    try:
        await said(tenant, platform, "/v1/admin/freeze", {"reason": WHY})
        await said(tenant, tenant.owner, f"/v1/agents/{one.id}/unfreeze", {})
        assert await stopped() == ["organisation", "organisation"]
        # also one that is made meanwhile
        made = await tenant.as_(tenant.owner).post("/v1/agents", json={"name": "late"})
        assert made.json()["agent"]["frozen_scope"] == "organisation"
        assert (await tenant.as_(tenant.owner).get("/v1/org/freeze")).json()["frozen_reason"] == WHY
        await said(tenant, tenant.owner, "/v1/org/unfreeze", {})
        assert await stopped() == ["instance", "instance"]
        assert (await tenant.as_(platform).get("/v1/admin/freeze")).json()["frozen"] is True
    finally:
        await said(tenant, platform, "/v1/admin/unfreeze", {})
    assert await stopped() == [None, None]
    assert set(refusals) == {(403, "agent_frozen", WHY)}
    assert await tenant.rows("SELECT 1 FROM freezes WHERE target_id = :id", id=INSTANCE) == []


@pytest.mark.parametrize("verb", ["freeze", "unfreeze"])
async def test_who_may_not(tenant: Tenant, context: Context, verb: str) -> None:
    agent, member = await tenant.agent(), await tenant.member()
    narrowed = await make_user(context.database, tenant.owner.org_id, "owner", scopes=("a/**",))
    stranger = await make_user(context.database)
    body = {"reason": WHY}
    for who in (agent, member, narrowed):
        for url in (f"/v1/agents/{agent.id}", "/v1/org", "/v1/admin"):
            answer = await tenant.as_(who).post(f"{url}/{verb}", json=body)
            assert (answer.status_code, url) == (403, url)
    # an organisation's owner is no administrator of the platform, and has no other organisation's agents
    assert (await tenant.as_(tenant.owner).post(f"/v1/admin/{verb}", json=body)).status_code == 403
    assert (await tenant.as_(stranger).post(f"/v1/agents/{agent.id}/{verb}", json=body)).status_code == 404
    assert (await tenant.as_(tenant.owner).post(f"/v1/agents/{uuid4()}/{verb}", json=body)).status_code == 404
    for where in ("/v1/org/freeze", "/v1/admin/freeze"):
        assert (await tenant.as_(member).get(where)).status_code == 403
    assert await tenant.rows("SELECT 1 FROM freezes WHERE target_id = :id", id=agent.id) == []


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": " \n"}, {"reason": "x" * 1001}, {"reason": 1}])
async def test_a_freeze_needs_a_reason(tenant: Tenant, body: Any) -> None:
    agent = await tenant.agent()
    for url in (f"/v1/agents/{agent.id}/freeze", "/v1/org/freeze"):
        assert (await tenant.as_(tenant.owner).post(url, json=body)).status_code == 400
    assert await tenant.rows("SELECT 1 FROM freezes WHERE target_id IN (:a, :o)", a=agent.id, o=agent.org_id) == []


async def test_a_freeze_waits_for_the_signature_under_way(tenant: Tenant, context: Context) -> None:
    agent = await tenant.agent()
    url = f"/v1/agents/{agent.id}/freeze"
    async with context.database.begin() as signing:
        await require_open(signing, agent.org_id, agent.id, binding=True)
        freezing = asyncio.create_task(said(tenant, tenant.owner, url, {"reason": WHY}))
        await until_waiting(tenant.rows, "LOCK TABLE freezes%")
        # who only looks does not wait for it
        async with context.database.statements() as reading:
            await require_open(reading, agent.org_id, agent.id, binding=False)
        assert not freezing.done()
    await freezing


async def test_a_signature_waits_for_the_freeze_and_sees_it(tenant: Tenant, context: Context) -> None:
    agent = await tenant.agent()

    async def pass_() -> None:
        async with context.database.begin() as signing:
            await require_open(signing, agent.org_id, agent.id, binding=True)

    for _ in range(6):  # also as a prepared statement, which plans and locks in another order
        await pass_()
    async with context.database.begin() as freezing:
        await gate.close(freezing)
        asked = asyncio.create_task(pass_())
        await until_waiting(tenant.rows, "%FROM freezes%FOR SHARE%")
        await freezing.exec_driver_sql(
            "INSERT INTO freezes (target_id, scope, frozen_by, reason) VALUES (%s, 'agent', %s, 'now')",
            (agent.id, tenant.owner.id),
        )
    with pytest.raises(Problem) as caught:
        await asked
    assert caught.value.type == "agent_frozen"


@pytest.mark.parametrize(("verb", "statement"), [("freeze", "LOCK TABLE"), ("unfreeze", "DELETE FROM")])
async def test_who_lost_the_right_while_waiting_freezes_nothing(
    tenant: Tenant, context: Context, verb: str, statement: str
) -> None:
    agent, admin = await tenant.agent(), await tenant.member("admin")
    url, why = f"/v1/agents/{agent.id}", {"reason": WHY}
    if verb == "unfreeze":
        await said(tenant, tenant.owner, f"{url}/freeze", why)
    found = "SELECT * FROM freezes WHERE target_id = :id"
    before = await tenant.rows(found, id=agent.id)
    async with context.database.begin() as freezing:
        await gate.close(freezing)
        asked = asyncio.create_task(tenant.as_(admin).post(f"{url}/{verb}", json=why))
        await until_waiting(tenant.rows, f"{statement} freezes%")
        await tenant.change("UPDATE memberships SET role = 'member' WHERE user_id = :id", id=admin.id)
    assert (await asked).status_code == 403
    assert await tenant.rows(found, id=agent.id) == before


async def test_a_freeze_needs_no_connection_that_agents_hold(tenant: Tenant, context: Context) -> None:
    """As when each of an agent's wallets has a submission that waits for the one before it."""
    agent = await tenant.agent()
    async with AsyncExitStack() as held:
        for _ in range(10):
            await held.enter_async_context(context.database.begin())
        frozen = await said(tenant, tenant.owner, f"/v1/agents/{agent.id}/freeze", {"reason": WHY})
        assert frozen["frozen"] is True


@pytest.mark.parametrize(
    ("name", "told"),
    [("Ann  Lee\n", "Ann Lee"), ("", None), (" ", None), ("ann@example.com", None), ("Ann <ann@example.com>", None)],
)
async def test_it_is_said_by_whom_in_a_name_and_never_by_an_address(
    tenant: Tenant, context: Context, name: str, told: str | None
) -> None:
    admin, agent = await tenant.member("admin", display_name=name), await tenant.agent()
    url = f"/v1/agents/{agent.id}"
    replies = [await said(tenant, admin, f"{url}/freeze", {"reason": WHY})]
    replies.append((await tenant.as_(agent).get(url)).json())
    with pytest.raises(Problem) as refused:
        async with context.database.begin() as connection:
            await require_open(connection, agent.org_id, agent.id, binding=True)
    replies.append(refused.value.body())
    for reply in replies:
        assert (reply.get("frozen_by_name"), reply["frozen_by"]) == (told, f"user:{admin.id}")
        assert "frozen_by_name" not in reply or told
        assert "@" not in str({key: value for key, value in reply.items() if key in ("detail", "frozen_by_name")})
    by = f"{told}, an owner" if told else "an owner"
    assert refused.value.detail == (
        f"This agent is frozen by {by} or admin of its organisation (user:{admin.id}): {WHY}"
    )
