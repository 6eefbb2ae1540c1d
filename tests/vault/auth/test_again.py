"""A credential that is asked a second time whether it counts: what ended or narrowed it since is seen."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.factories import make_agent, make_user
from vault.auth.again import still
from vault.auth.authenticate import Authenticator
from vault.auth.caller import Caller
from vault.auth.recent import Recent
from vault.context import Context
from vault.errors import Problem

PEER = "203.0.113.9"


async def change(context: Context, sql: str, parameters: Sequence[Any]) -> None:
    async with context.database.begin() as connection:
        await connection.exec_driver_sql(sql, tuple(parameters))


async def let_in(context: Context, credential: str) -> Caller:
    found = await Authenticator(context, Recent()).caller(credential, PEER)
    async with context.database.begin() as connection:
        assert await still(connection, found) == found
    return found


async def refused(context: Context, caller: Caller) -> int | None:
    try:
        async with context.database.begin() as connection:
            await still(connection, caller)
    except Problem as problem:
        return problem.status
    return None


AGENT_ENDS = [
    ("UPDATE agents SET is_active = false WHERE id = %s", 401),
    ("UPDATE agents SET deleted_at = now() WHERE id = %s", 401),
    ("UPDATE agents SET token_version = token_version + 1 WHERE id = %s", 401),
    ("UPDATE agents SET expires_at = clock_timestamp() WHERE id = %s", 401),
    ("UPDATE agents SET expires_at = clock_timestamp() + interval '1 hour' WHERE id = %s", None),
    ("UPDATE agents SET last_active_at = now() WHERE id = %s", None),
]


@pytest.mark.parametrize(("sql", "status"), AGENT_ENDS)
async def test_an_agent(context: Context, sql: str, status: int | None) -> None:
    person = await make_user(context.database)
    agent = await make_agent(context.database, person.org_id)
    caller = await let_in(context, agent.key)
    await change(context, sql, [agent.id])
    assert await refused(context, caller) == status


async def test_an_expiry_that_was_set_after_the_transaction_began(context: Context) -> None:
    agent = await make_agent(context.database, (await make_user(context.database)).org_id)
    caller = await let_in(context, agent.key)
    async with context.database.begin() as connection:
        await connection.exec_driver_sql("SELECT 1")
        await change(context, "UPDATE agents SET expires_at = clock_timestamp() WHERE id = %s", [agent.id])
        with pytest.raises(Problem) as caught:
            await still(connection, caller)
    assert caught.value.status == 401


async def test_an_agent_that_was_narrowed(context: Context) -> None:
    agent = await make_agent(context.database, (await make_user(context.database)).org_id)
    caller, vault_id = await let_in(context, agent.key), uuid4()
    await change(
        context,
        "UPDATE agents SET scopes = %s, vault_ids = %s, intents_api_enabled = true WHERE id = %s",
        [["a/**"], [vault_id], agent.id],
    )
    async with context.database.begin() as connection:
        now = await still(connection, caller)
    assert (now.scopes, now.vault_ids, now.intents_api_enabled) == (("a/**",), (vault_id,), True)
    assert now.ip_address == caller.ip_address


@pytest.mark.parametrize(
    ("sql", "status"),
    [
        ("UPDATE users SET is_active = false WHERE id = %s", 401),
        ("UPDATE memberships SET org_id = (SELECT id FROM organisations o WHERE o.id <> memberships.org_id LIMIT 1)"
         " WHERE user_id = %s", 401),
        ("UPDATE api_keys SET revoked_at = now() WHERE user_id = %s", 401),
        ("UPDATE api_keys SET expires_at = clock_timestamp() WHERE user_id = %s", 401),
        # a new password ends sessions, not personal keys
        ("UPDATE users SET token_version = token_version + 1 WHERE id = %s", None),
    ],
)  # fmt: skip
async def test_a_person_with_a_key(context: Context, sql: str, status: int | None) -> None:
    await make_user(context.database)
    person = await make_user(context.database)
    caller = await let_in(context, person.key)
    await change(context, sql, [person.id])
    assert await refused(context, caller) == status


async def test_a_person_who_lost_an_office(context: Context) -> None:
    person = await make_user(context.database, is_platform_admin=True)
    caller = await let_in(context, person.key)
    await change(context, "UPDATE memberships SET role = 'member' WHERE user_id = %s", [person.id])
    await change(context, "UPDATE users SET is_platform_admin = false WHERE id = %s", [person.id])
    await change(context, "UPDATE api_keys SET scopes = '{a/**}' WHERE user_id = %s", [person.id])
    async with context.database.begin() as connection:
        now = await still(connection, caller)
    assert (now.role, now.is_platform_admin, now.scopes) == ("member", False, ("a/**",))


@pytest.mark.parametrize("kind", ["user", "agent"])
async def test_an_address_that_was_blocked(context: Context, kind: str) -> None:
    person = await make_user(context.database)
    agent = await make_agent(context.database, person.org_id)
    credential = person.key if kind == "user" else agent.key
    found = await Authenticator(context, Recent()).caller(credential, PEER)
    caller = Caller(**{**vars(found), "ip_address": PEER})
    await change(
        context,
        "INSERT INTO ip_rules (id, org_id, rule_type, cidr, applies_to, created_by)"
        " VALUES (%s, %s, 'deny', '203.0.113.0/24', %s, %s)",
        [uuid4(), person.org_id, f"{kind}s", person.id],
    )
    assert await refused(context, caller) == 403


async def test_a_token_and_the_key_it_was_exchanged_for(context: Context, connect: Any) -> None:
    person = await make_user(context.database)
    http: httpx.AsyncClient = connect()
    for ended in ("token", "version", "key", None):
        answer = await http.post("/v1/auth/api-key-token", json={"api_key": person.key})
        caller = await let_in(context, answer.json()["access_token"])
        if ended == "token":
            await connect(answer.json()["access_token"]).delete("/v1/auth/token")
        elif ended == "version":
            await change(context, "UPDATE users SET token_version = token_version + 1 WHERE id = %s", [person.id])
        elif ended is None:
            await change(context, "UPDATE api_keys SET revoked_at = now() WHERE user_id = %s", [person.id])
        assert await refused(context, caller) == (None if ended == "key" else 401), ended
