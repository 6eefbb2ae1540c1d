"""Agents over HTTP: created, shown, changed, re-keyed, removed, and who may do that."""

from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from tests.support.factories import audit_rows, make_agent, make_user
from tests.vault.conftest import Connect
from vault.db import Database

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
REQUIRED = {"id", "name", "auth_method", "is_active", "intents_api_enabled", "shroud_enabled", "created_at"}

FULL: dict[str, Any] = {
    "name": "Trader",
    "description": "moves funds",
    "auth_method": "api_key",
    "scopes": ["keys/*", "keys/*"],
    "expires_at": "2099-01-01T01:00:00+01:00",
    "intents_api_enabled": True,
    "tx_to_allowlist": [ADDRESS.lower(), ADDRESS],
    "tx_max_value_eth": "0.500",
    "tx_daily_limit_eth": "99999999999.999999999999999999",
    "tx_allowed_chains": ["mainnet", "1", "31337", "Base"],
    "token_ttl_seconds": 300,
    "shroud_enabled": True,
    "shroud_config": {"pii_policy": "redact", "nested": {"null": None}},
}


async def test_a_new_agent_has_what_was_asked_in_one_canonical_form(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    vault_id = (await connect(person.key).post("/v1/vaults", json={"name": "v"})).json()["id"]
    made = await connect(person.key).post("/v1/agents", json=FULL | {"vault_ids": [vault_id.upper(), vault_id]})
    assert made.status_code == 201
    assert made.json().keys() == {"agent", "api_key"}
    agent, key = made.json()["agent"], made.json()["api_key"]
    expected = FULL | {
        "id": agent["id"],
        "created_at": agent["created_at"],
        "is_active": True,
        "scopes": ["keys/*"],
        "expires_at": "2099-01-01T00:00:00Z",
        "tx_to_allowlist": [ADDRESS],
        "tx_max_value_eth": "0.5",
        "tx_allowed_chains": ["ethereum", "anvil", "base"],
        "vault_ids": [vault_id],
        "ssh_public_key": agent["ssh_public_key"],
        "ecdh_public_key": agent["ecdh_public_key"],
    }
    assert agent == expected
    assert agent["created_at"].endswith("Z")
    assert (await connect(person.key).get(f"/v1/agents/{agent['id']}")).json() == expected

    me = (await connect(key).get("/v1/agents/me")).json()
    assert me["org_id"] == str(person.org_id)
    assert me["created_by"] == str(person.id)
    assert not any(name.startswith("tx_") or name in ("auth_method", "vault_ids") for name in me)

    row = (await audit_rows(database, person.org_id, "agent.register"))[0]
    assert row.resource_id == agent["id"]
    assert row.details["tx_max_value_wei"] == str(5 * 10**17)
    assert key not in str(row.details)
    assert "shroud_config" not in row.details


async def test_a_plain_agent_gets_the_contracts_defaults(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    body = {"name": "a", "scopes": None, "tx_to_allowlist": None, "auth_method": None, "intents_api_enabled": None}
    agent = (await connect(person.key).post("/v1/agents", json=body)).json()["agent"]
    assert agent.keys() == REQUIRED | {
        "scopes",
        "tx_to_allowlist",
        "tx_allowed_chains",
        "vault_ids",
        "ssh_public_key",
        "ecdh_public_key",
    }
    assert agent["scopes"] == agent["vault_ids"] == agent["tx_to_allowlist"] == agent["tx_allowed_chains"] == []
    assert agent["intents_api_enabled"] is agent["shroud_enabled"] is False


BAD_VALUES: list[dict[str, Any]] = [
    {"name": ""},
    {"name": " "},
    {"name": None},
    {"name": "x" * 256},
    {"name": 5},
    {"name": "a\x00b"},
    {"tx_max_value_ether": "1"},
    {"tx_max_value_wei": "1"},
    {"is_platform_admin": True},
    {"org_id": str(UUID(int=1))},
    {"llm_token_billing": True},
    {"intents_api_enabled": "true"},
    {"intents_api_enabled": 1},
    {"token_ttl_seconds": "300"},
    {"token_ttl_seconds": 0},
    {"token_ttl_seconds": 86_401},
    {"token_ttl_seconds": 300.0},
    {"scopes": "keys/*"},
    {"scopes": [""]},
    {"scopes": [1]},
    {"vault_ids": ["not-a-uuid"]},
    {"expires_at": "2099-01-01"},
    {"expires_at": 4070908800},
    {"shroud_config": []},
    {"shroud_config": {"x": "y" * 70_000}},
    {"tx_to_allowlist": ADDRESS},
    {"tx_to_allowlist": [ADDRESS.replace("A", "a", 1)]},
    {"tx_to_allowlist": [ADDRESS[:-1]]},
    {"tx_to_allowlist": [ADDRESS[2:]]},
    {"tx_to_allowlist": [ADDRESS + "00"]},
    {"tx_to_allowlist": ["vitalik.eth"]},
    {"tx_to_allowlist": [None]},
    {"tx_allowed_chains": ["no-such-chain"]},
    {"tx_allowed_chains": ["999999"]},
    {"tx_allowed_chains": [True]},
    {"tx_allowed_chains": [""]},
    {"tx_max_value_eth": 1},
    {"tx_max_value_eth": 0.5},
    {"tx_max_value_eth": ""},
    {"tx_max_value_eth": "-1"},
    {"tx_max_value_eth": "+1"},
    {"tx_max_value_eth": "1e3"},
    {"tx_max_value_eth": "NaN"},
    {"tx_max_value_eth": "Infinity"},
    {"tx_max_value_eth": " 1"},
    {"tx_max_value_eth": "1,5"},
    {"tx_max_value_eth": "0x10"},
    {"tx_max_value_eth": "٣"},
    {"tx_max_value_eth": "0." + "1" * 19},
    {"tx_max_value_eth": "9" * 61},
    {"tx_daily_limit_eth": "1e3"},
    {"tx_daily_limit_eth": 1.5},
]


@pytest.mark.parametrize("bad", BAD_VALUES, ids=lambda bad: str(bad)[:60])
async def test_a_bad_value_is_refused_by_create_and_by_patch_and_changes_nothing(
    connect: Connect, database: Database, bad: dict[str, Any]
) -> None:
    person = await make_user(database)
    http = connect(person.key)
    made = await http.post("/v1/agents", json={"name": "a"} | bad)
    assert made.status_code == 400, made.text
    assert next(iter(bad)) in made.json()["detail"]
    assert (await http.get("/v1/agents")).json() == {"agents": []}

    robot = await make_agent(database, person.org_id, tx_max_value_wei=1)
    before = (await http.get(f"/v1/agents/{robot.id}")).json()
    changed = await http.patch(f"/v1/agents/{robot.id}", json={"description": "new"} | bad)
    assert changed.status_code == 400, changed.text
    assert (await http.get(f"/v1/agents/{robot.id}")).json() == before
    assert not await audit_rows(database, person.org_id, "agent.update")


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({"auth_method": "mtls"}, "client_cert_fingerprint"),
        ({"auth_method": "mtls", "client_cert_fingerprint": "zz"}, "client_cert_fingerprint"),
        ({"auth_method": "oidc_client_credentials", "oidc_issuer": "https://id.example"}, "oidc_client_id"),
        ({"auth_method": "oidc_client_credentials", "oidc_client_id": "x"}, "oidc_issuer"),
        ({"auth_method": "password"}, "auth_method"),
        ({"auth_method": "api_key", "oidc_issuer": "https://id.example"}, "oidc_issuer"),
    ],
)
async def test_each_way_to_authenticate_has_its_fields(
    connect: Connect, database: Database, body: dict[str, Any], missing: str
) -> None:
    person = await make_user(database)
    answer = await connect(person.key).post("/v1/agents", json={"name": "a"} | body)
    assert answer.status_code == 400
    assert missing in answer.json()["detail"]


@pytest.mark.parametrize(
    "fields",
    [
        {"auth_method": "mtls", "client_cert_fingerprint": "ab" * 32},
        {"auth_method": "oidc_client_credentials", "oidc_issuer": "https://id.example", "oidc_client_id": "bot"},
    ],
)
async def test_an_agent_without_a_key_has_none_to_rotate(
    connect: Connect, database: Database, fields: dict[str, str]
) -> None:
    http = connect((await make_user(database)).key)
    made = await http.post("/v1/agents", json={"name": "a"} | fields)
    assert made.status_code == 201
    assert made.json().keys() == {"agent"}
    assert fields.items() <= made.json()["agent"].items()
    assert (await http.post(f"/v1/agents/{made.json()['agent']['id']}/rotate-key")).status_code == 400


async def test_patch_changes_what_is_named_and_null_clears(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    http = connect(person.key)
    agent = (await http.post("/v1/agents", json=FULL)).json()["agent"]
    url = f"/v1/agents/{agent['id']}"

    unchanged = await http.patch(url, json={})
    assert unchanged.status_code == 200
    assert unchanged.json() == agent

    one = (await http.patch(url, json={"tx_max_value_eth": "2", "is_active": False})).json()
    assert one == agent | {"tx_max_value_eth": "2", "is_active": False}
    assert (await http.patch(url, json={"tx_max_value_eth": "0"})).json()["tx_max_value_eth"] == "0"

    cleared = (
        await http.patch(
            url,
            json=dict.fromkeys(
                (
                    "description",
                    "scopes",
                    "vault_ids",
                    "expires_at",
                    "token_ttl_seconds",
                    "tx_to_allowlist",
                    "tx_allowed_chains",
                    "tx_max_value_eth",
                    "tx_daily_limit_eth",
                    "shroud_config",
                )
            ),
        )
    ).json()
    for gone in ("description", "expires_at", "token_ttl_seconds", "tx_max_value_eth", "tx_daily_limit_eth"):
        assert gone not in cleared
    assert cleared["scopes"] == cleared["tx_to_allowlist"] == cleared["tx_allowed_chains"] == []
    assert cleared["vault_ids"] == []
    assert cleared["intents_api_enabled"] is True

    for field in ("name", "is_active", "intents_api_enabled", "shroud_enabled"):
        assert (await http.patch(url, json={field: None})).status_code == 400

    rows = await audit_rows(database, person.org_id, "agent.update")
    assert len(rows) == 3
    assert rows[0].details == {
        "changed": ["is_active", "tx_max_value_wei"],
        "before": {"is_active": True, "tx_max_value_wei": str(5 * 10**17)},
        "after": {"is_active": False, "tx_max_value_wei": str(2 * 10**18)},
    }
    assert rows[2].actor_id == str(person.id)


async def test_an_agent_changes_nothing_not_even_itself(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id)
    other = await make_agent(database, person.org_id)
    token = (await connect().post("/v1/auth/agent-token", json={"api_key": robot.key})).json()["access_token"]
    for credential in (robot.key, token):
        http = connect(credential)
        for agent_id in (robot.id, other.id, uuid4()):
            url = f"/v1/agents/{agent_id}"
            answers = [
                await http.patch(url, json={"tx_max_value_eth": None}),
                await http.patch(url, json={"nonsense": 1}),
                await http.delete(url),
                await http.post(f"{url}/rotate-key"),
            ]
            assert {answer.status_code for answer in answers} == {403}
        assert (await http.get("/v1/agents")).status_code == 403
        assert (await http.post("/v1/agents", json={"name": "a"})).status_code == 403
        assert (await http.get(f"/v1/agents/{robot.id}")).json()["id"] == str(robot.id)
        # whether another agent exists cannot be told
        answers = [await http.get(f"/v1/agents/{agent_id}") for agent_id in (other.id, uuid4())]
        assert {answer.text for answer in answers} == {answers[0].text}
        assert answers[0].status_code == 403


async def test_members_may_not_manage_agents_and_admins_may(connect: Connect, database: Database) -> None:
    owner = await make_user(database)
    member = await make_user(database, owner.org_id, "member")
    admin = await make_user(database, owner.org_id, "admin")
    robot = await make_agent(database, owner.org_id)
    url = f"/v1/agents/{robot.id}"
    for method, path, body in (
        ("GET", "/v1/agents", None),
        ("POST", "/v1/agents", {"name": "a"}),
        ("GET", url, None),
        ("PATCH", url, {"name": "b"}),
        ("POST", f"{url}/rotate-key", None),
        ("DELETE", url, None),
    ):
        assert (await connect(member.key).request(method, path, json=body)).status_code == 403
        assert (await connect(admin.key).request(method, path, json=body)).is_success


async def test_another_organisations_agent_is_unknown(connect: Connect, database: Database) -> None:
    mine, theirs = await make_user(database), await make_user(database)
    robot = await make_agent(database, theirs.org_id)
    http = connect(mine.key)
    for agent_id in (robot.id, uuid4()):
        url = f"/v1/agents/{agent_id}"
        answers = [
            await http.get(url),
            await http.patch(url, json={"name": "b"}),
            await http.post(f"{url}/rotate-key"),
            await http.delete(url),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
        assert {answer.json()["detail"] for answer in answers} == {"No such agent"}
    assert (await http.get("/v1/agents")).json() == {"agents": []}
    assert (await connect(robot.key).get("/v1/agents/me")).status_code == 200


async def test_a_rotated_key_and_its_tokens_end_at_once(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id)
    token = (await connect().post("/v1/auth/agent-token", json={"api_key": robot.key})).json()["access_token"]
    answer = await connect(person.key).post(
        f"/v1/agents/{robot.id}/rotate-key", headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200
    assert answer.json().keys() == {"api_key"}
    key = answer.json()["api_key"]
    for old in (robot.key, token):
        assert (await connect(old).get("/v1/agents/me")).status_code == 401
    assert (await connect().post("/v1/auth/agent-token", json={"api_key": robot.key})).status_code == 401
    assert (await connect(key).get("/v1/agents/me")).status_code == 200
    fresh = (await connect().post("/v1/auth/agent-token", json={"api_key": key})).json()["access_token"]
    assert jwt.decode(fresh, options={"verify_signature": False})["sub"] == f"agent:{robot.id}"
    assert (await connect(fresh).get("/v1/agents/me")).status_code == 200
    rows = await audit_rows(database, person.org_id, "agent.rotate_key")
    assert [row.details for row in rows] == [{"key_prefix": key[:12]}]


async def test_a_deleted_agent_is_hidden_and_refused_at_once(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id)
    token = (await connect().post("/v1/auth/agent-token", json={"api_key": robot.key})).json()["access_token"]
    http = connect(person.key)
    gone = await http.delete(f"/v1/agents/{robot.id}")
    assert gone.status_code == 204
    assert gone.content == b""
    for credential in (robot.key, token):
        assert (await connect(credential).get("/v1/agents/me")).status_code == 401
    assert (await http.get("/v1/agents")).json() == {"agents": []}
    assert (await http.get(f"/v1/agents/{robot.id}")).status_code == 404
    assert (await http.patch(f"/v1/agents/{robot.id}", json={"is_active": True})).status_code == 404
    assert (await http.delete(f"/v1/agents/{robot.id}")).status_code == 404
    assert len(await audit_rows(database, person.org_id, "agent.delete")) == 1


async def test_the_list_is_paged_oldest_first(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    http = connect(person.key)
    made = [(await http.post("/v1/agents", json={"name": f"a{n}"})).json()["agent"]["id"] for n in range(3)]
    assert [each["id"] for each in (await http.get("/v1/agents")).json()["agents"]] == made
    page = await http.get("/v1/agents", params={"limit": 1, "offset": 1})
    assert [each["id"] for each in page.json()["agents"]] == made[1:2]
    for bad in ("limit=0", "limit=201", "limit=x", "limit=", "offset=-1", "offset=99999999999999999999"):
        answer = await http.get(f"/v1/agents?{bad}")
        assert answer.status_code == 400, bad
        assert isinstance(answer.json()["detail"], str)
