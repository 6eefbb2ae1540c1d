"""Logging a command line in."""

import asyncio
import re
from typing import Any

import httpx
import jwt
from sqlalchemy import text, update

from tests.support.factories import Person, audit_rows, make_user
from tests.support.vault_api import Tenant
from tests.vault.auth.people import OTHER_PASSWORD, PASSWORD, a_peer, log_in, make_person, wind
from tests.vault.conftest import Connect
from vault.auth import lockout
from vault.auth.device import GRANT
from vault.auth.models import DeviceCode
from vault.db import Database


async def begin(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post("/v1/auth/device/code", json={"client_id": "cli"} | body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def poll(http: httpx.AsyncClient, begun: dict[str, Any], grant: str = GRANT) -> dict[str, Any]:
    body = {"device_code": begun["device_code"], "grant_type": grant}
    answer = await http.post("/v1/auth/device/token", json=body)
    assert answer.status_code == 200
    return dict(answer.json())


async def signed_in(connect: Connect, person: Person) -> httpx.AsyncClient:
    """A person with a token of their own login, from an address of its own."""
    peer = a_peer()
    return connect((await log_in(connect(peer=peer), person.email)).json()["access_token"], peer=peer)


async def forget_polls(database: Database, begun: dict[str, Any]) -> None:
    """Let the interval pass."""
    async with database.begin() as connection:
        await connection.execute(
            update(DeviceCode)
            .where(DeviceCode.user_code == begun["user_code"])
            .values(polled_at=text("polled_at - interval '5 seconds'"))
        )


async def test_a_command_line_is_let_in_for_a_day(connect: Connect, database: Database) -> None:
    person, http = await make_person(database), connect(peer=a_peer())
    begun = await begin(http, email=person.email.upper())
    assert begun.keys() == {"device_code", "user_code", "verification_uri", "expires_in", "interval"}
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", begun["user_code"])
    assert begun["verification_uri"] == f"https://talon.example/cli/verify?code={begun['user_code']}"
    assert (begun["expires_in"], begun["interval"]) == (600, 5)
    assert await poll(http, begun) == {"error": "authorization_pending"}
    assert await poll(http, begun) == {"error": "slow_down"}
    await forget_polls(database, begun)
    assert await poll(http, begun) == {"error": "authorization_pending"}
    assert (await http.get(f"/v1/auth/device/code/{begun['user_code']}")).json()["status"] == "pending"

    me = await signed_in(connect, person)
    typed = begun["user_code"].lower().replace("-", " ")
    approved = await me.post("/v1/auth/device/approve", json={"user_code": typed})
    assert approved.status_code == 200
    assert approved.json()["status"] == "approved"
    assert (await http.get(f"/v1/auth/device/code/{begun['user_code']}")).json()["status"] == "approved"
    # handed out once, also to two who ask at once
    answers = await asyncio.gather(*(poll(http, begun) for _ in range(4)))
    handed = [answer for answer in answers if "access_token" in answer]
    assert len(handed) == 1
    assert [answer for answer in answers if "access_token" not in answer] == [{"error": "expired_token"}] * 3
    token = handed[0]
    assert (token["email"], token["user_id"]) == (person.email, str(person.id))
    assert (token["org_id"], token["token_type"], token["expires_in"]) == (str(person.org_id), "Bearer", 86_400)
    claims = jwt.decode(token["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 86_400
    assert (await connect(token["access_token"]).get("/v1/auth/me")).json()["id"] == str(person.id)
    assert (await http.get(f"/v1/auth/device/code/{begun['user_code']}")).json()["status"] == "approved"
    rows = await audit_rows(database, person.org_id, "device.approve")
    assert [row.details for row in rows] == [{"client_id": "cli"}]


async def test_no_is_no_and_is_said_once(connect: Connect, database: Database) -> None:
    http = connect(peer=a_peer())
    begun = await begin(http)
    me = await signed_in(connect, await make_person(database))
    assert (await me.post("/v1/auth/device/deny", json={"user_code": begun["user_code"]})).status_code == 200
    assert (await me.post("/v1/auth/device/approve", json={"user_code": begun["user_code"]})).status_code == 409
    assert await poll(http, begun) == {"error": "access_denied"}
    assert (await http.get(f"/v1/auth/device/code/{begun['user_code']}")).json()["status"] == "denied"


async def test_only_the_account_that_was_asked_for_decides(connect: Connect, database: Database) -> None:
    person, other = await make_person(database), await make_person(database)
    http = connect(peer=a_peer())
    begun = await begin(http, email=person.email)
    body = {"user_code": begun["user_code"]}
    stranger = await signed_in(connect, other)
    assert (await stranger.post("/v1/auth/device/approve", json=body)).status_code == 403
    assert (await stranger.post("/v1/auth/device/deny", json=body)).status_code == 403
    assert await poll(http, begun) == {"error": "authorization_pending"}
    # whoever asked for nobody in particular is let in by anybody who is signed in
    anybody = await begin(http, email="")
    assert (
        await stranger.post("/v1/auth/device/approve", json={"user_code": anybody["user_code"]})
    ).status_code == 200
    assert (await poll(http, anybody))["user_id"] == str(other.id)


async def test_keys_and_agents_cannot_say_yes(connect: Connect, database: Database, tenant: Tenant) -> None:
    http = connect(peer=a_peer())
    body = {"user_code": (await begin(http))["user_code"]}
    person = await make_user(database)
    exchanged = (await http.post("/v1/auth/api-key-token", json={"api_key": person.key})).json()["access_token"]
    agent = await tenant.agent()
    for credential in (person.key, exchanged, agent.key):
        assert (await connect(credential).post("/v1/auth/device/approve", json=body)).status_code == 403
    assert (await http.post("/v1/auth/device/approve", json=body)).status_code == 401


async def test_a_changed_password_takes_the_yes_back(connect: Connect, database: Database) -> None:
    person, http = await make_person(database), connect(peer=a_peer())
    begun = await begin(http)
    me = await signed_in(connect, person)
    await me.post("/v1/auth/device/approve", json={"user_code": begun["user_code"]})
    change = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    assert (await me.post("/v1/auth/change-password", json=change)).status_code == 204
    assert await poll(http, begun) == {"error": "access_denied"}


async def test_what_is_over_or_unknown_is_said_with_200(connect: Connect, database: Database) -> None:
    http = connect(peer=a_peer())
    begun = await begin(http)
    assert await poll(http, {"device_code": "made up"}) == {"error": "expired_token"}
    assert await poll(http, begun, "password") == {"error": "unsupported_grant_type"}
    async with database.begin() as connection:
        await connection.execute(
            update(DeviceCode).where(DeviceCode.user_code == begun["user_code"]).values(expires_at=text("now()"))
        )
    assert await poll(http, begun) == {"error": "expired_token"}
    assert (await http.get(f"/v1/auth/device/code/{begun['user_code']}")).json()["status"] == "expired"
    me = await signed_in(connect, await make_person(database))
    body = {"user_code": begun["user_code"]}
    assert (await me.post("/v1/auth/device/approve", json=body)).status_code == 404
    for bad in ({"client_id": ""}, {"client_id": "cli", "email": "no address"}, {}):
        assert (await http.post("/v1/auth/device/code", json=bad)).status_code == 400


async def test_codes_cannot_be_guessed(connect: Connect, database: Database) -> None:
    peer = a_peer()
    http = connect(peer=peer)
    begun = await begin(http)
    for _ in range(20):
        assert (await http.get("/v1/auth/device/code/BBBB-BBBB")).status_code == 404
    await wind(database, lockout.code_guesses(peer), -50)
    locked = await http.get(f"/v1/auth/device/code/{begun['user_code']}")
    assert (locked.status_code, "retry-after" in locked.headers) == (429, True)
    # a signed-in person has fewer tries
    person = await make_person(database)
    me = await signed_in(connect, person)
    for _ in range(5):
        assert (await me.post("/v1/auth/device/approve", json={"user_code": "BBBB-BBBB"})).status_code == 404
    await wind(database, lockout.code_guesses_of(person.id), -50)
    body = {"user_code": begun["user_code"]}
    assert (await me.post("/v1/auth/device/approve", json=body)).status_code == 429
    # what others guess at an address keeps nobody from deciding there
    neighbour = await signed_in(connect, await make_person(database))
    neighbour = connect(neighbour.headers["authorization"].removeprefix("Bearer "), peer=peer)
    assert (await neighbour.post("/v1/auth/device/approve", json=body)).status_code == 200
    begun = await begin(http)
    # looking at a code that exists, again and again, is no guessing
    patient = connect(peer=a_peer())
    for _ in range(25):
        assert (await patient.get(f"/v1/auth/device/code/{begun['user_code']}")).status_code == 200
