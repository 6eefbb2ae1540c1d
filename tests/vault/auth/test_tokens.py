"""Credentials: what counts, what does not, and that it ends at once."""

import asyncio
import base64
import time
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import insert, select, text, update

from signer.client import SignerClient
from signer.token_order import TokenOrder
from tests.support.factories import Person, Robot, audit_rows, make_agent, make_user
from tests.support.postgres import Postgres
from tests.support.tokens import copied_key
from tests.vault.conftest import Connect, dsn_of_signer
from vault.agents.models import Agent
from vault.auth.models import ApiKey, RevokedToken, User
from vault.db import Database
from vault.orgs.models import Membership


async def agent_token(connect: Connect, robot: Robot) -> str:
    answer = await connect().post("/v1/auth/agent-token", json={"api_key": robot.key})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def user_token(connect: Connect, person: Person) -> str:
    answer = await connect().post("/v1/auth/api-key-token", json={"api_key": person.key})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def change(database: Database, model: Any, row_id: Any, **values: Any) -> None:
    async with database.begin() as connection:
        await connection.execute(update(model).where(model.id == row_id).values(**values))


async def test_an_agent_exchanges_its_key_with_and_without_its_id(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    vault_id = uuid4()
    robot = await make_agent(
        database, person.org_id, token_ttl_seconds=300, vault_ids=[vault_id], scopes=["keys/*", "tx:sign"]
    )
    for body in ({"api_key": robot.key}, {"api_key": robot.key, "agent_id": str(robot.id)}):
        answer = await connect().post("/v1/auth/agent-token", json=body)
        assert answer.status_code == 200
        reply = answer.json()
        assert reply.keys() == {"access_token", "token_type", "expires_in", "agent_id", "vault_ids"}
        assert reply["expires_in"] == 300
        assert reply["agent_id"] == str(robot.id)
        assert reply["vault_ids"] == [str(vault_id)]
        claims = jwt.decode(reply["access_token"], options={"verify_signature": False})
        assert claims["sub"] == f"agent:{robot.id}"
        assert claims["scopes"] == ["keys/*"]
        assert claims["vault_ids"] == [str(vault_id)]
        assert claims["exp"] - claims["iat"] == 300
        me = await connect(reply["access_token"]).get("/v1/agents/me")
        assert me.json()["id"] == str(robot.id)
        assert "last_active_at" in me.json()
    assert len(await audit_rows(database, person.org_id, "auth.success")) == 2


async def test_an_unbound_agent_gets_an_hour_and_an_empty_list(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id, intents_api_enabled=True)
    reply = (await connect().post("/v1/auth/agent-token", json={"api_key": robot.key})).json()
    assert reply["expires_in"] == 3600
    assert reply["vault_ids"] == []
    claims = jwt.decode(reply["access_token"], options={"verify_signature": False})
    assert claims["scopes"] == []
    assert claims["intents_api_enabled"] is True


async def test_where_people_exchange_keys_an_agents_key_gets_three_fields(
    connect: Connect, database: Database
) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id)
    for key in (person.key, robot.key):
        reply = (await connect().post("/v1/auth/api-key-token", json={"api_key": key})).json()
        assert reply.keys() == {"access_token", "token_type", "expires_in"}
    assert (await connect(reply["access_token"]).get("/v1/agents/me")).json()["id"] == str(robot.id)


@pytest.mark.parametrize("body", [{}, {"api_key": 1}, {"api_key": None}, {"api_key": "x", "agent_id": "not-a-uuid"}])
async def test_a_malformed_exchange_is_400(connect: Connect, body: dict[str, Any]) -> None:
    assert (await connect().post("/v1/auth/agent-token", json=body)).status_code == 400


async def test_a_key_that_does_not_fit_is_401(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id)
    other = await make_agent(database, person.org_id)
    wrong = robot.key[:-4] + ("AAAA" if robot.key[-4:] != "AAAA" else "BBBB")
    bodies: list[dict[str, str]] = [
        {"api_key": wrong},
        {"api_key": robot.key, "agent_id": str(other.id)},
        {"api_key": person.key},
        {"api_key": ""},
        {"api_key": robot.key + "x"},
        {"api_key": robot.key[:20]},
    ]
    for body in bodies:
        answer = await connect().post("/v1/auth/agent-token", json=body)
        assert answer.status_code == 401, body
        assert answer.json()["detail"] == "Invalid credentials"
    assert (await connect(wrong).get("/v1/agents/me")).status_code == 401
    assert len(await audit_rows(database, person.org_id, "auth.failure")) == 2


async def test_raw_keys_are_credentials_too(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id)
    assert (await connect(robot.key).get("/v1/agents/me")).json()["id"] == str(robot.id)
    assert (await connect(person.key).get("/v1/auth/me")).json()["id"] == str(person.id)
    # the wrong kind of principal
    assert (await connect(robot.key).get("/v1/auth/me")).status_code == 403
    assert (await connect(person.key).get("/v1/agents/me")).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Bearer " + "x" * 40_000},
        {"X-Api-Key": "x"},
    ],
)
async def test_without_a_credential_it_is_401_in_json(connect: Connect, headers: dict[str, str]) -> None:
    answer = await connect().get("/v1/auth/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["status"] == 401
    assert answer.json()["detail"]


async def test_a_key_in_the_query_string_is_no_credential(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    for name in ("api_key", "token", "access_token"):
        assert (await connect().get("/v1/auth/me", params={name: person.key})).status_code == 401


async def test_a_revoked_token_ends_at_once_and_others_go_on(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id)
    for token, other, url in (
        (await agent_token(connect, robot), await agent_token(connect, robot), "/v1/agents/me"),
        (await user_token(connect, person), await user_token(connect, person), "/v1/auth/me"),
    ):
        assert (await connect(token).get(url)).status_code == 200
        answer = await connect(token).delete("/v1/auth/token", headers={"Content-Type": "application/json"})
        assert answer.status_code == 204
        assert answer.content == b""
        assert (await connect(token).get(url)).status_code == 401
        assert (await connect(token).delete("/v1/auth/token")).status_code == 401
        assert (await connect(other).get(url)).status_code == 200
    assert len(await audit_rows(database, person.org_id, "auth.revoke")) == 2


async def test_a_token_revoked_many_times_at_once_is_revoked_once(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    http = connect(await user_token(connect, person))
    answers = await asyncio.gather(*(http.delete("/v1/auth/token") for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {204, 401}
    assert len(await audit_rows(database, person.org_id, "auth.revoke")) == 1


async def test_expired_revocations_are_forgotten(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    old = str(uuid4())
    async with database.begin() as connection:
        await connection.execute(insert(RevokedToken).values(jti=old, expires_at=text("now() - interval '2 hours'")))
    await connect(await user_token(connect, person)).delete("/v1/auth/token")
    async with database.begin() as connection:
        left = await connection.execute(select(RevokedToken.jti).where(RevokedToken.jti == old))
        assert left.all() == []


async def test_revoking_with_a_raw_key_leaves_the_key_alone(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    assert (await connect(person.key).delete("/v1/auth/token")).status_code == 204
    assert (await connect(person.key).get("/v1/auth/me")).status_code == 200


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ({"is_active": False}, "Agent is deactivated"),
        ({"expires_at": text("now() - interval '1 second'")}, "Agent has expired"),
        ({"deleted_at": text("now()")}, "Invalid credentials"),
    ],
)
async def test_an_agent_that_may_not_act_is_refused_on_the_next_request(
    connect: Connect, database: Database, values: dict[str, Any], detail: str
) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id)
    token = await agent_token(connect, robot)
    for credential in (token, robot.key):
        assert (await connect(credential).get("/v1/agents/me")).status_code == 200
    await change(database, Agent, robot.id, **values)
    for credential in (token, robot.key):
        assert (await connect(credential).get("/v1/agents/me")).status_code == 401
    answer = await connect().post("/v1/auth/agent-token", json={"api_key": robot.key})
    assert answer.status_code == 401
    assert answer.json()["detail"] == detail


@pytest.mark.parametrize(
    "values", [{"is_active": False}, {"deleted_at": text("now()")}, {"token_version": User.token_version + 1}]
)
async def test_a_person_that_is_gone_is_refused_on_the_next_request(
    connect: Connect, database: Database, values: dict[str, Any]
) -> None:
    person = await make_user(database)
    token = await user_token(connect, person)
    assert (await connect(token).get("/v1/auth/me")).status_code == 200
    await change(database, User, person.id, **values)
    assert (await connect(token).get("/v1/auth/me")).status_code == 401
    if "token_version" not in values:
        assert (await connect(person.key).get("/v1/auth/me")).status_code == 401


async def test_a_demoted_person_is_demoted_at_once(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    token = await user_token(connect, person)
    assert (await connect(token).get("/v1/agents")).status_code == 200
    async with database.begin() as connection:
        await connection.execute(update(Membership).where(Membership.user_id == person.id).values(role="member"))
    assert (await connect(token).get("/v1/agents")).status_code == 403


@pytest.mark.parametrize(
    "values", [{"revoked_at": text("now()")}, {"expires_at": text("now() - interval '1 second'")}]
)
async def test_a_personal_key_that_ended_takes_its_tokens_with_it(
    connect: Connect, database: Database, values: dict[str, Any]
) -> None:
    person = await make_user(database)
    token = await user_token(connect, person)
    async with database.begin() as connection:
        await connection.execute(update(ApiKey).where(ApiKey.user_id == person.id).values(**values))
    assert (await connect(token).get("/v1/auth/me")).status_code == 401
    assert (await connect(person.key).get("/v1/auth/me")).status_code == 401
    assert (await connect().post("/v1/auth/api-key-token", json={"api_key": person.key})).status_code == 401


async def test_an_agent_with_more_vaults_than_a_token_holds_is_told_so(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    some, many = [
        await make_agent(database, person.org_id, vault_ids=[uuid4() for _ in range(count)]) for count in (250, 1000)
    ]
    assert (await connect(await agent_token(connect, some)).get("/v1/agents/me")).status_code == 200
    answer = await connect().post("/v1/auth/agent-token", json={"api_key": many.key})
    assert answer.status_code == 422
    assert "too many" in answer.json()["detail"]
    # the key itself says nothing and counts
    assert (await connect(many.key).get("/v1/agents/me")).status_code == 200


async def test_made_up_tokens_do_not_count(connect: Connect, database: Database, signer: SignerClient) -> None:
    person = await make_user(database)
    real = await user_token(connect, person)
    kid = jwt.get_unverified_header(real)["kid"]
    claims = jwt.decode(real, options={"verify_signature": False})
    mine = Ed25519PrivateKey.generate()
    public = (await signer.jwt_keys())[0].public_key
    head, body, signature = real.split(".")
    forged = [
        jwt.encode(claims, mine, algorithm="EdDSA", headers={"kid": kid}),
        jwt.encode(claims, mine, algorithm="EdDSA", headers={"kid": "unknown"}),
        jwt.encode(claims, mine, algorithm="EdDSA"),
        jwt.encode(claims, None, algorithm="none", headers={"kid": kid}),
        jwt.encode(claims, public, algorithm="HS256", headers={"kid": kid}),
        f"{head}.{body}.",
        f"{head}.{body}x.{signature}",
    ]
    for token in forged:
        assert (await connect(token).get("/v1/auth/me")).status_code == 401, token
    assert (await connect(real).get("/v1/auth/me")).status_code == 200


async def test_genuine_signatures_over_the_wrong_claims_do_not_count(
    connect: Connect, database: Database, postgres: Postgres, verifier_forgets: None
) -> None:
    person, stranger = await make_user(database), await make_user(database)
    key = await copied_key(dsn_of_signer(postgres))
    order = TokenOrder("user", person.id, person.org_id, 60, 1, scopes=("**",))
    assert (await connect(key.token(order)).get("/v1/auth/me")).status_code == 200
    now = int(time.time())
    wrong: list[dict[str, Any]] = [
        {"exp": now - 1},
        {"exp": now + 30 * 365 * 86_400},
        {"iat": now + 30 * 365 * 86_400, "exp": now + 30 * 365 * 86_400 + 60},
        {"iss": "someone else"},
        {"org": str(stranger.org_id)},
        {"sub": f"user:{uuid4()}"},
        {"sub": f"agent:{person.id}"},
        {"sub": str(person.id)},
        {"ver": 2},
        {"key": str(uuid4())},
        *({name: None} for name in ("exp", "iat", "sub", "org", "jti", "iss", "ver")),
    ]
    for claims in wrong:
        assert (await connect(key.token(order, **claims)).get("/v1/auth/me")).status_code == 401, claims


async def test_a_key_that_was_rotated_away_counts_as_long_as_a_token_lives(
    connect: Connect, database: Database, postgres: Postgres, verifier_forgets: None
) -> None:
    person = await make_user(database)
    order = TokenOrder("user", person.id, person.org_id, 3600, 1, scopes=("**",))
    fresh = await copied_key(dsn_of_signer(postgres), retired_s_ago=86_400 - 600)
    old = await copied_key(dsn_of_signer(postgres), retired_s_ago=86_400 + 1)
    assert (await connect(fresh.token(order)).get("/v1/auth/me")).status_code == 200
    assert (await connect(old.token(order)).get("/v1/auth/me")).status_code == 401


async def test_the_public_key_verifies_the_tokens(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    token = await user_token(connect, person)
    reply = (await connect().get("/v1/auth/jwt-public-key")).json()
    assert reply.keys() == {"alg", "public_key_base64"}
    assert reply["alg"] == "EdDSA"
    raw = base64.b64decode(reply["public_key_base64"])
    assert len(raw) == 32
    jwt.decode(token, Ed25519PublicKey.from_public_bytes(raw), algorithms=["EdDSA"])


async def test_refresh_says_that_it_is_not_there(connect: Connect) -> None:
    answer = await connect().post("/v1/auth/refresh", json={"refresh_token": "x"})
    assert answer.status_code == 400
    assert "not implemented" in answer.json()["detail"]


async def test_the_address_in_the_audit_is_the_clients_and_not_its_invention(
    connect: Connect, database: Database
) -> None:
    person = await make_user(database)
    body = {"api_key": person.key}
    forwarded = {"X-Forwarded-For": "127.0.0.1, 198.51.100.7"}
    await connect(peer="10.0.0.5").post("/v1/auth/api-key-token", json=body, headers=forwarded)
    await connect(peer="203.0.113.20").post("/v1/auth/api-key-token", json=body, headers=forwarded)
    for hop in ("198.51.100.8:51234", "[2001:db8::7]:443", "nobody"):
        forwarded = {"X-Forwarded-For": hop}
        await connect(peer="10.0.0.5").post("/v1/auth/api-key-token", json=body, headers=forwarded)
    rows = await audit_rows(database, person.org_id, "auth.success")
    addresses = [row.ip_address for row in rows]
    assert addresses == ["198.51.100.7", "203.0.113.20", "198.51.100.8", "2001:db8::7", None]
