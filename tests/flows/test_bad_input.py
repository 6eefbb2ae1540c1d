"""Every way of asking wrongly gets its 4xx with a helpful detail, and changes nothing."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.world import World, address

GOOD = "0x52908400098527886E0F7030069857D2E4169EE7"

CASES: list[tuple[str, dict[str, Any], int]] = [
    ("unknown field", {"destination": GOOD}, 400),
    ("another mode", {"mode": "smart_account"}, 400),
    ("somebody else's gas", {"gasless": True}, 400),
    ("false as text", {"gasless": "false"}, 400),
    ("missing to", {"to": None}, 400),
    ("short address", {"to": "0x1234"}, 400),
    ("address without 0x", {"to": GOOD[2:]}, 400),
    ("wrong checksum", {"to": "0x52908400098527886e0F7030069857D2E4169EE7"}, 400),
    ("contract creation", {"to": ""}, 400),
    ("odd hex", {"data": "0x123"}, 400),
    ("no hex", {"data": "0xzz"}, 400),
    ("hex without 0x", {"data": "1234"}, 400),
    ("negative amount", {"value": "-1"}, 400),
    ("exponent", {"value": "1e-3"}, 400),
    ("NaN", {"value": "NaN"}, 400),
    ("infinity", {"value": "Infinity"}, 400),
    ("too precise", {"value": "0.0000000000000000001"}, 400),
    ("too large", {"value": "1" + "0" * 60}, 400),
    ("number instead of text", {"value": 1}, 400),
    ("unicode digits", {"value": "\uff11"}, 400),
    ("empty amount", {"value": ""}, 400),
    ("unknown chain", {"chain": "nowhere"}, 400),
    ("unknown chain id", {"chain": "999999999"}, 400),
    ("chain of the wrong type", {"chain": ["anvil"]}, 400),
    ("negative nonce", {"nonce": -1}, 400),
    ("nonce as text", {"nonce": "1"}, 400),
    ("boolean nonce", {"nonce": True}, 400),
    ("huge nonce", {"nonce": 2**64}, 400),
    ("skipping nonce", {"nonce": 77}, 422),
    ("gas below a transfer", {"gas_limit": 20_999}, 400),
    ("gas price with a fraction", {"gas_price": "1.5"}, 400),
    ("negative fee", {"max_fee_per_gas": "-1"}, 400),
    ("tip above cap", {"max_fee_per_gas": "1000000000", "max_priority_fee_per_gas": "1000000001"}, 400),
    ("oversized calldata", {"data": "0x" + "00" * (121 * 1024)}, 400),
    ("missing key", {"signing_key_path": "keys/nothing-here"}, 404),
    ("bad key path", {"signing_key_path": "../keys"}, 400),
]


@pytest.mark.parametrize(("name", "change", "status"), CASES, ids=[case[0] for case in CASES])
async def test_refused_and_nothing_changed(world: World, name: str, change: dict[str, Any], status: int) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    body = {"to": GOOD, "value": "0.1", "chain": "anvil", "signing_key_path": wallet.path} | change
    for path in ("", "/sign"):
        answer = await agent.post(path, body)
        assert answer.status_code == status, answer.text
        problem = answer.json()
        assert problem["status"] == status
        assert {"type", "title", "detail"} <= problem.keys()
        assert isinstance(problem["detail"], str)
        assert len(problem["detail"]) > 10
    listed = await world.http.get(agent.url, headers=agent.headers)
    assert listed.json() == {"transactions": []}
    assert await world.chain.nonce(wallet.address, "pending") == 0


async def test_what_later_versions_say_by_default_is_taken(world: World) -> None:
    wallet, agent = await world.wallet(), await world.agent()
    sent = await agent.submit(wallet, address(), "0.001", gasless=False, mode="eoa")
    assert sent.status_code == 201, sent.text
    assert (await agent.simulate(wallet, address(), gasless=False)).status_code == 200


async def test_another_agents_id_is_refused(world: World) -> None:
    wallet = await world.wallet()
    agent, other = await world.agent(), await world.agent()
    body = {"to": address(), "value": "0", "chain": "anvil", "signing_key_path": wallet.path}
    for agent_id in (other.id, str(uuid4())):
        answer = await world.http.post(f"/v1/agents/{agent_id}/transactions", json=body, headers=agent.headers)
        assert answer.status_code == 403
        answer = await world.http.get(f"/v1/agents/{agent_id}/transactions", headers=agent.headers)
        assert answer.status_code == 403


async def test_no_policy_no_signature(world: World) -> None:
    wallet = await world.wallet()
    created = await world.post("/v1/agents", {"name": f"bare {uuid4()}", "intents_api_enabled": True})
    answer = await world.http.post(
        f"/v1/agents/{created['agent']['id']}/transactions",
        json={"to": address(), "value": "0", "chain": "anvil", "signing_key_path": wallet.path},
        headers={"Authorization": f"Bearer {created['api_key']}"},
    )
    assert answer.status_code == 403, answer.text


async def test_a_body_over_5_mb_is_413(world: World) -> None:
    agent = await world.agent()
    answer = await world.http.post(
        agent.url,
        content=b'{"to": "' + b"0" * (5 * 1024 * 1024) + b'"}',
        headers=agent.headers | {"Content-Type": "application/json"},
    )
    assert answer.status_code == 413
    assert answer.json()["status"] == 413


async def test_intents_switched_off(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent(intents_api_enabled=False)
    answer = await agent.submit(wallet, address())
    assert answer.status_code == 403
    assert "Intents" in answer.json()["detail"]


async def test_list_parameters(world: World) -> None:
    agent = await world.agent()
    for query in ("limit=0", "limit=-1", "limit=201", "offset=-1", "limit=x", "include=secrets"):
        answer = await world.http.get(f"{agent.url}?{query}", headers=agent.headers)
        assert answer.status_code == 400, query


BAD_PATHS = {
    # plain ones are resolved by the client itself
    "dots": "%2e%2e",
    "dots inside": "a/%2e%2e/b",
    "one dot": "a/%2E/b",
    "encoded slashes and dots": "a%2F..%2Fb",
    "a dot": "a.b",
    "double slash": "a//b",
    "encoded double slash": "a%2F%2Fb",
    "leading slash": "/a",
    "trailing slash": "a/",
    "NUL": "a%00b",
    "over-long": "a" * 513,
    "far over-long": "a/" * 4000 + "a",
    "space": "a%20b",
    "backslash": "a%5Cb",
    "line break": "a%0Ab",
    "Cyrillic a": "%D0%B0bc",
    "full-width a": "%EF%BD%81bc",
    "combining accent": "cafe%CC%81",
    "zero-width space": "a%E2%80%8Bb",
    "fraction slash": "a%E2%81%84b",
    "right-to-left override": "a%E2%80%AEb",
    "no UTF-8": "a%FFb",
    "over-long UTF-8 slash": "a%C0%AFb",
    "encoded twice": "a%252Fb",
    "wildcard": "a/*",
}


@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS.keys())
async def test_bad_secret_paths(world: World, path: str) -> None:
    url = f"{world.http.base_url}/v1/vaults/{world.vault_id}"
    for method, place, body in (
        ("PUT", "secrets", {"value": "v"}),
        ("GET", "secrets", None),
        ("DELETE", "secrets", None),
        ("POST", "secret-rotate", {}),
        ("GET", "secret-versions", None),
    ):
        target = httpx.URL(url).copy_with(raw_path=f"/v1/vaults/{world.vault_id}/{place}/{path}".encode())
        answer = await world.http.request(method, target, json=body, headers=world.headers)
        # what no route can mean is 404
        assert answer.status_code in (400, 404), (method, answer.status_code, answer.text)
        assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    "path", ["vaults", "vaults/{vault}/secrets", "vaults/{vault}/policies", "agents", "auth/api-keys", "audit/events"]
)
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", f"limit={10**30}", "limit=1.5", "limit=", f"offset={2**63}"]
)
async def test_limits_of_lists(world: World, path: str, query: str) -> None:
    url = f"/v1/{path.format(vault=world.vault_id)}?{query}"
    answer = await world.http.get(url, headers=world.headers)
    assert answer.status_code == 400, answer.text


BODIES = {
    "a key twice": b'{"name": "a", "name": "b"}',
    "a key twice, once escaped": b'{"name": "a", "n\\u0061me": "b"}',
    "a key twice inside": b'{"name": "a", "description": {"x": 1, "x": 2}}',
    "nested far too deep": b'{"name": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "nested too deep": b'{"name": "a", "description": ' + b'{"a":' * 200 + b"1" + b"}" * 201,
    "a list": b"[]",
    "a number": b"1",
    "a number without end": b"1" * 5000,
    "a text": b'"name"',
    "null": b"null",
    "nothing": b"",
    "half": b'{"name": "a"',
    "NaN": b'{"name": NaN}',
    "a NUL": b'{"name": "a\\u0000"}',
    "half a surrogate pair": b'{"name": "\\ud800"}',
    "no UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
    "a comment": b'{"name": "a" /* b */}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_bad_json(world: World, body: bytes) -> None:
    headers = world.headers | {"Content-Type": "application/json"}
    for method, path in (("POST", "vaults"), ("POST", "agents"), ("POST", f"vaults/{world.vault_id}/policies")):
        answer = await world.http.request(method, f"/v1/{path}", content=body, headers=headers)
        assert answer.status_code == 400, (path, answer.text)
        assert isinstance(answer.json()["detail"], str)


async def test_a_transaction_with_a_key_twice(world: World) -> None:
    wallet, agent = await world.wallet(), await world.agent()
    body = f'{{"to": "{GOOD}", "value": "0", "chain": "anvil", "signing_key_path": "{wallet.path}", "value": "1"}}'
    answer = await world.http.post(
        agent.url, content=body, headers=agent.headers | {"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert "same key twice" in answer.json()["detail"]
    assert (await world.http.get(agent.url, headers=agent.headers)).json() == {"transactions": []}
