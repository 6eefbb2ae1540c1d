"""Rows about keys, tokens, log-ins and how often one may try."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import jwt

from tests.flows.clients.rows import Client, row
from tests.support.people import bearer


async def tokens(it: Client) -> list[dict[str, Any]]:
    """The reply of every exchange there is for a password or key."""
    _, key = await it.person.api_key()
    login = {"email": it.person.email, "password": it.person.password}
    exchanges: list[tuple[str, dict[str, str]]] = [
        ("token", login),
        ("api-key-token", {"api_key": key}),
        ("api-key-token", {"api_key": it.agent.key}),
        ("agent-token", {"api_key": it.agent.key}),
        ("agent-token", {"api_key": it.agent.key, "agent_id": it.agent.id}),
    ]
    replies = []
    for route, body in exchanges:
        answer = await it.world.http.post(f"/v1/auth/{route}", json=body)
        assert answer.status_code == 200, answer.text
        replies.append(answer.json())
    return replies


@row("expires_in numeric in token reply")
async def _expires_in(it: Client) -> None:
    for reply in await tokens(it):
        assert type(reply["expires_in"]) is int
        # with a minute or less the SDK exchanges before every call
        assert reply["expires_in"] > 60
        assert reply["token_type"] == "Bearer"
        assert "refresh_token" not in reply


@row("JWT three parts, numeric exp")
async def _jwt(it: Client) -> None:
    for reply in await tokens(it):
        assert reply["access_token"].count(".") == 2
        claims = jwt.decode(reply["access_token"], options={"verify_signature": False})
        assert type(claims["exp"]) is int
        assert type(claims["iat"]) is int
        assert claims["sub"].split(":")[0] in ("user", "agent")
        assert isinstance(claims["scopes"], list)
        assert isinstance(claims["vault_ids"], list)
        assert jwt.get_unverified_header(reply["access_token"])["alg"] == "EdDSA"


@row("agent_id in exchange")
async def _agent_id(it: Client) -> None:
    *_, key_only, with_id = await tokens(it)
    for reply in (key_only, with_id):
        assert reply["agent_id"] == it.agent.id
        assert reply["vault_ids"] == []
    body = {"api_key": it.agent.key, "agent_id": str(uuid4())}
    assert (await it.world.http.post("/v1/auth/agent-token", json=body)).status_code == 401


@row("Burst at start with 1ck_")
async def _burst(it: Client) -> None:
    async def first_call() -> httpx.Response:
        async with httpx.AsyncClient(base_url=it.base_url, timeout=60) as http:
            return await http.get("/v1/vaults")

    for answer in await asyncio.gather(*(first_call() for _ in range(20))):
        assert answer.status_code == 401
        assert isinstance(answer.json()["detail"], str)


@row("Retry-After integer")
async def _retry_after(it: Client) -> None:
    body = {"email": f"{uuid4()}@example.com", "password": "not-this-one"}
    # from behind the trusted proxy, so that the address of all other tests is left in peace
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.9")
    headers = {"X-Forwarded-For": "198.51.100.77"}
    async with httpx.AsyncClient(base_url=it.base_url, transport=transport, headers=headers, timeout=60) as http:
        for _ in range(12):
            answer = await http.post("/v1/auth/token", json=body)
            if answer.status_code == 429:
                break
            assert answer.status_code == 401
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert isinstance(answer.json()["detail"], str)


@row("Device errors as 200")
async def _device(it: Client) -> None:
    session = bearer(await it.person.log_in())
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}
    body = grant | {"device_code": uuid4().hex}
    answer = await it.world.http.post("/v1/auth/device/token", json=body)
    assert (answer.status_code, answer.json()) == (200, {"error": "expired_token"})
    started = await it.world.http.post("/v1/auth/device/code", json={"client_id": "1claw-cli"})
    assert started.is_success, started.text
    code = started.json()
    answer = await it.world.http.post("/v1/auth/device/token", json=grant | {"device_code": code["device_code"]})
    assert (answer.status_code, answer.json()) == (200, {"error": "authorization_pending"})
    denial = await it.ask("POST", "/v1/auth/device/deny", json={"user_code": code["user_code"]}, headers=session)
    assert denial.is_success, denial.text
    answer = await it.world.http.post("/v1/auth/device/token", json=grant | {"device_code": code["device_code"]})
    assert (answer.status_code, answer.json()) == (200, {"error": "access_denied"})


@row("api-key-token is called for every 1ck_ key and not awaited")
async def _exchange_beside_calls(it: Client) -> None:
    _, key = await it.person.api_key()

    async def ask(method: str, path: str, **more: Any) -> int:
        async with httpx.AsyncClient(base_url=it.base_url, timeout=60) as http:
            return (await http.request(method, path, **more)).status_code

    exchanges = [ask("POST", "/v1/auth/api-key-token", json={"api_key": key}) for _ in range(8)]
    calls = [ask("GET", "/v1/vaults", headers=bearer(key)) for _ in range(8)]
    assert set(await asyncio.gather(*exchanges, *calls)) == {200}
