from typing import Any
from uuid import uuid4

import pytest

from tests.support.factories import audit_rows, make_agent, make_user
from tests.vault.auth.people import mails_to
from tests.vault.conftest import Connect
from vault.context import Context
from vault.db import Database


async def test_a_key_is_shown_once_works_and_ends_at_once(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    made = await connect(person.key).post("/v1/auth/api-keys", json={"name": " CI ", "scopes": ["vault:read"]})
    assert made.status_code == 201
    body = made.json()
    assert body.keys() == {"key", "api_key"}
    assert body["key"]["name"] == "CI"
    assert body["key"]["key_prefix"] == body["api_key"][:12]
    assert body["key"]["is_active"] is True
    key = body["api_key"]
    assert (await connect(key).get("/v1/auth/me")).json()["id"] == str(person.id)
    token = (await connect().post("/v1/auth/api-key-token", json={"api_key": key})).json()["access_token"]
    assert (await connect(token).get("/v1/auth/me")).status_code == 200

    listed = await connect(person.key).get("/v1/auth/api-keys")
    assert key not in listed.text
    shown = {each["id"]: each for each in listed.json()["keys"]}
    assert "last_used_at" in shown[body["key"]["id"]]

    gone = await connect(person.key).delete(f"/v1/auth/api-keys/{body['key']['id']}")
    assert gone.status_code == 204
    assert (await connect(key).get("/v1/auth/me")).status_code == 401
    assert (await connect(token).get("/v1/auth/me")).status_code == 401
    assert (await connect(person.key).delete(f"/v1/auth/api-keys/{body['key']['id']}")).status_code == 404
    left = (await connect(person.key).get("/v1/auth/api-keys")).json()["keys"]
    assert body["key"]["id"] not in {each["id"] for each in left}
    created, revoked = [
        (await audit_rows(database, person.org_id, action))[0] for action in ("api_key.create", "api_key.revoke")
    ]
    assert created.resource_id == revoked.resource_id == body["key"]["id"]
    assert key not in str(created.details)


async def test_other_peoples_keys_are_unknown(connect: Connect, database: Database) -> None:
    owner = await make_user(database)
    colleague = await make_user(database, owner.org_id, "admin")
    key_id = (await connect(colleague.key).get("/v1/auth/api-keys")).json()["keys"][0]["id"]
    for unknown in (key_id, str(uuid4())):
        answer = await connect(owner.key).delete(f"/v1/auth/api-keys/{unknown}")
        assert answer.status_code == 404
        assert answer.json()["detail"] == "No such API key"
    assert (await connect(colleague.key).get("/v1/auth/me")).status_code == 200


async def test_a_narrowed_key_can_neither_widen_itself_nor_manage(connect: Connect, database: Database) -> None:
    person = await make_user(database, scopes=("keys/*",))
    robot = await make_agent(database, person.org_id)
    (key,) = (await connect(person.key).get("/v1/auth/api-keys")).json()["keys"]
    exchanged = (await connect().post("/v1/auth/api-key-token", json={"api_key": person.key})).json()
    for credential in (person.key, exchanged["access_token"]):
        assert (await connect(credential).get("/v1/auth/me")).status_code == 200
        made = await connect(credential).post("/v1/auth/api-keys", json={"name": "wide"})
        assert made.status_code == 403
        assert (await connect(credential).post("/v1/agents", json={"name": "a"})).status_code == 403
        assert (await connect(credential).get(f"/v1/agents/{robot.id}")).status_code == 403
        assert (await connect(credential).delete(f"/v1/auth/api-keys/{key['id']}")).status_code == 403


async def test_agents_have_no_personal_keys(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id)
    assert (await connect(robot.key).post("/v1/auth/api-keys", json={"name": "a"})).status_code == 403
    assert (await connect(robot.key).get("/v1/auth/api-keys")).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 256},
        {"name": 1},
        {"name": "a", "scopes": "keys/*"},
        {"name": "a", "scopes": [""]},
        {"name": "a", "expires_at": "tomorrow"},
        {"name": "a", "expires_at": 1893456000},
        {"name": "a", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "a", "scopes": ["x" * 1025]},
        {"name": "a", "scopes": ["x"] * 101},
    ],
)
async def test_a_malformed_key_request_is_400(connect: Connect, database: Database, body: dict[str, Any]) -> None:
    person = await make_user(database)
    assert (await connect(person.key).post("/v1/auth/api-keys", json=body)).status_code == 400
    assert len((await connect(person.key).get("/v1/auth/api-keys")).json()["keys"]) == 1


async def test_lists_are_paged_newest_first(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    for name in ("one", "two"):
        await connect(person.key).post("/v1/auth/api-keys", json={"name": name, "expires_at": "2099-01-01T00:00:00Z"})
    page = (await connect(person.key).get("/v1/auth/api-keys", params={"limit": 2})).json()["keys"]
    assert [each["name"] for each in page] == ["two", "one"]
    assert page[0]["expires_at"] == "2099-01-01T00:00:00Z"
    rest = (await connect(person.key).get("/v1/auth/api-keys", params={"limit": 2, "offset": 2})).json()["keys"]
    assert [each["name"] for each in rest] == ["test"]


async def test_the_person_hears_of_a_new_key_but_not_the_key(
    connect: Connect, context: Context, database: Database
) -> None:
    person = await make_user(database)
    made = await connect(person.key).post("/v1/auth/api-keys", json={"name": "laptop\nBcc: eve"})
    mails = await mails_to(context, person.email)
    assert [mail.subject for mail in mails] == ["An API key was created"]
    assert '"laptop Bcc: eve"' in mails[0].text
    assert made.json()["api_key"] not in mails[0].text
