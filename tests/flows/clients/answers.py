"""Rows about the form of answers: statuses, envelopes, refusals, times, what is left out."""

from typing import Any
from uuid import UUID, uuid4

import httpx

from tests.flows.clients.rows import TIME, Client, row
from tests.support.people import bearer
from tests.support.published import assert_declared
from tests.support.world import address

JSON = {"Content-Type": "application/json"}


@row("Non-204 success with empty body")
async def _json_or_nothing(it: Client) -> None:
    agent = (await it.ask("POST", "/v1/agents", 201, json={"name": "short"})).json()["agent"]["id"]
    vault = (await it.ask("POST", "/v1/vaults", 201, json={"name": f"short {uuid4()}"})).json()["id"]
    for method, path, body in (
        ("PUT", f"/v1/vaults/{vault}/secrets/a", {"value": "v"}),
        ("POST", f"/v1/vaults/{vault}/secret-rotate/a", {}),
        ("POST", f"/v1/vaults/{vault}/secret-version/a/1/disable", None),
        ("DELETE", f"/v1/vaults/{vault}/secrets/a", None),
        ("DELETE", f"/v1/vaults/{vault}", None),
        ("PATCH", f"/v1/agents/{agent}", {"name": "shorter"}),
        ("POST", f"/v1/agents/{agent}/rotate-key", None),
        ("DELETE", f"/v1/agents/{agent}", None),
        ("GET", "/v1/agents", None),
    ):
        answer = await it.ask(method, path, json=body)
        assert answer.is_success, (path, answer.text)
        if answer.status_code == 204:
            assert answer.content == b"", path
        else:
            answer.json()
            assert answer.headers["content-type"] == "application/json", path


@row("Content-Type: application/json with no body")
async def _no_body(it: Client) -> None:
    agent = (await it.ask("POST", "/v1/agents", 201, json={"name": "short"})).json()["agent"]["id"]
    for method, path, status in (
        ("GET", "/v1/vaults", 200),
        ("GET", f"{it.vault}/secrets/client/a/b", 200),
        ("GET", f"/v1/agents/{agent}", 200),
        ("POST", f"/v1/agents/{agent}/rotate-key", 200),
        ("DELETE", f"/v1/agents/{agent}", 204),
        ("GET", "/v1/health", 200),
    ):
        await it.ask(method, path, status, headers=JSON)
    # where a body is needed its absence is a 400 in words, not a 500
    assert isinstance((await it.ask("POST", "/v1/vaults", 400, headers=JSON)).json()["detail"], str)


async def refusals(it: Client) -> list[httpx.Response]:
    """An error of every kind that a client meets."""
    stranger = bearer((await it.ask("POST", "/v1/agents", 201, json={"name": "none"})).json()["api_key"])
    big = b'{"value": "' + b"0" * (5 * 1024 * 1024) + b'"}'
    return [
        await it.ask("POST", "/v1/vaults", 400, content=b"{", headers=JSON),
        await it.ask("POST", "/v1/vaults", 400, json={"name": 7}),
        await it.ask("POST", "/v1/vaults", 400, json=[]),
        await it.ask("PUT", f"{it.vault}/secrets/.hidden", 400, json={"value": "v"}),
        await it.ask("GET", "/v1/vaults?limit=0", 400),
        await it.world.http.get("/v1/vaults", headers=bearer("ocv_" + "a" * 43)),
        await it.world.http.get(f"{it.vault}/secrets/client/a/b", headers=stranger),
        await it.ask("GET", f"/v1/vaults/{uuid4()}", 404),
        await it.ask("GET", "/v1/nothing/here", 404),
        await it.ask("PUT", "/v1/vaults", 405),
        await it.ask("PUT", f"{it.vault}/secrets/big", 413, content=big, headers=JSON),
    ]


@row("detail always")
async def _detail(it: Client) -> None:
    answers = await refusals(it)
    assert {each.status_code for each in answers} >= {400, 401, 403, 404, 405, 413}
    for answer in answers:
        problem = assert_declared(answer)
        assert len(problem["detail"]) > 5
        assert problem["status"] == answer.status_code
        assert {"type", "title"} <= problem.keys()


@row("Envelopes")
async def _envelopes(it: Client) -> None:
    for path, keys in (
        ("/v1/vaults", {"vaults"}),
        (f"{it.vault}/secrets", {"secrets"}),
        (f"{it.vault}/secret-versions/client/a/b", {"versions"}),
        (f"{it.vault}/policies", {"policies"}),
        ("/v1/agents", {"agents"}),
        ("/v1/chains", {"chains"}),
        ("/v1/audit/events", {"events", "count"}),
        ("/v1/auth/api-keys", {"keys"}),
        ("/v1/org/members", {"members"}),
        ("/v1/security/ip-rules", {"rules"}),
    ):
        listed = (await it.ask("GET", path, 200)).json()
        assert set(listed) == keys, path
        assert all(isinstance(value, int if name == "count" else list) for name, value in listed.items()), path
    mine = await it.world.http.get(it.agent.url, headers=it.agent.headers)
    assert set(mine.json()) == {"transactions"}


@row("2xx is success")
async def _statuses(it: Client) -> None:
    made = await it.ask("POST", "/v1/vaults", 201, json={"name": f"statuses {uuid4()}", "description": ""})
    vault = f"/v1/vaults/{made.json()['id']}"
    await it.ask("PUT", f"{vault}/secrets/a", 201, json={"value": "v"})
    await it.ask("PUT", f"{vault}/secrets/a", 201, json={"value": "w"})
    await it.ask("GET", f"{vault}/secrets/a", 200)
    await it.ask("POST", f"{vault}/secret-rotate/a", 201, json={})
    policy = {"secret_path_pattern": "a", "principal_type": "agent", "permissions": ["read"]}
    made = await it.ask("POST", f"{vault}/policies", 201, json=policy | {"principal_id": it.agent.id})
    one = f"{vault}/policies/{made.json()['id']}"
    await it.ask("PUT", one, 200, json={"permissions": ["read", "write"]})
    await it.ask("DELETE", one, 204)
    await it.ask("DELETE", f"{vault}/secrets/a", 204)
    await it.ask("DELETE", vault, 204)
    key = (await it.ask("POST", "/v1/auth/api-keys", 201, json={"name": "statuses"})).json()
    await it.ask("DELETE", f"/v1/auth/api-keys/{key['key']['id']}", 204)
    sent = await it.agent.submit(it.wallet, address(), "0.001")
    assert sent.status_code == 201
    assert (await it.agent.simulate(it.wallet, address())).status_code == 200
    assert (await it.agent.get(sent.json()["id"]))["id"] == sent.json()["id"]


@row("Unknown JSON keys")
async def _no_nulls(it: Client) -> None:
    for path in (
        "/v1/vaults",
        it.vault,
        f"{it.vault}/secrets",
        f"{it.vault}/secrets/client/a/b",
        f"{it.vault}/policies",
        "/v1/agents",
        "/v1/auth/me",
        "/v1/auth/api-keys",
        "/v1/chains",
        "/v1/org/members",
    ):
        assert b":null" not in (await it.ask("GET", path, 200)).content.replace(b": ", b":"), path
    # what the official decoders do not know is only told to who asks for it
    sent = (await it.agent.submit(it.wallet, address(), "0")).json()
    plain = await it.world.http.get(f"{it.agent.url}/{sent['id']}", headers=it.agent.headers)
    assert not {"receipt", "signing"} & plain.json().keys()


@row("RFC 3339 times with Z; lower-case UUIDs; int32 version")
async def _forms(it: Client) -> None:
    checked = 0
    paths = (it.vault, f"{it.vault}/secrets/client/a/b", f"{it.vault}/policies", "/v1/agents", "/v1/audit/events")
    for path in paths:
        for name, value in _members((await it.ask("GET", path, 200)).json()):
            if name.endswith("_at") and value is not None:
                assert TIME.fullmatch(value), (path, name, value)
            elif name == "id" and isinstance(value, str):
                assert value == str(UUID(value)), (path, value)
            elif name == "version":
                assert type(value) is int, path
                assert 0 < value < 2**31
            else:
                continue
            checked += 1
    assert checked > 10


def _members(value: Any) -> list[tuple[str, Any]]:
    """Every member of every object inside."""
    if isinstance(value, dict):
        return [*value.items(), *(pair for each in value.values() for pair in _members(each))]
    return [pair for each in value for pair in _members(each)] if isinstance(value, list) else []


@row("/v1/shares/{id}, /v1/audit")
async def _aliases(it: Client) -> None:
    events = (await it.ask("GET", "/v1/audit", 200)).json()
    assert set(events) == {"events", "count"}


@row("a 204 is empty")
async def _nothing(it: Client) -> None:
    made = (await it.ask("POST", "/v1/vaults", 201, json={"name": f"nothing {uuid4()}"})).json()
    assert (await it.ask("DELETE", f"/v1/vaults/{made['id']}", 204)).content == b""


@row("no list in detail")
async def _no_list(it: Client) -> None:
    for answer in await refusals(it):
        assert isinstance(answer.json()["detail"], str)
        assert "fields" not in answer.json() or all(isinstance(e, str) for e in answer.json()["fields"].values())
