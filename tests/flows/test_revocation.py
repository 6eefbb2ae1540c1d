"""Whatever ends a right ends it on the very next request, in both API processes, however warm their caches are."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.token_order import TokenOrder
from tests.support.instance import Running
from tests.support.people import CONNECTIONS, bearer, everywhere, join, sign_up
from tests.support.tokens import CopiedKey, copied_key
from tests.support.world import Agent, World

PATH = "keys/value"
NO_ALGORITHM = b'{"alg":"none","typ":"JWT"}'
ALL_WELL = [200] * CONNECTIONS


@dataclass
class Reader:
    """An agent with a policy on one secret, its key and a token exchanged for it."""

    world: World
    agent: Agent
    policy_id: str
    secret: str
    token: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"/v1/agents/{self.agent.id}"

    @property
    def policy_url(self) -> str:
        return f"/v1/vaults/{self.world.vault_id}/policies/{self.policy_id}"

    async def change(self, method: str, path: str, status: int, **more: Any) -> None:
        """What the human does about it."""
        answer = await self.world.http.request(method, path, headers=self.world.headers, **more)
        assert answer.status_code == status, answer.text


async def exchange(world: World, route: str, api_key: str) -> str:
    answer = await world.http.post(f"/v1/auth/{route}", json={"api_key": api_key})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def make_secret(world: World) -> str:
    """The address of a secret with a value."""
    url = f"/v1/vaults/{world.vault_id}/secrets/{PATH}"
    answer = await world.http.put(url, json={"value": f"value {uuid4()}", "type": "generic"}, headers=world.headers)
    assert answer.status_code == 201, answer.text
    return url


@pytest.fixture
async def reader(world: World) -> Reader:
    agent = await world.agent()
    secret = await make_secret(world)
    policies = await world.http.get(f"/v1/vaults/{world.vault_id}/policies?limit=200", headers=agent.headers)
    (policy,) = policies.json()["policies"]
    return Reader(world, agent, policy["id"], secret, await exchange(world, "agent-token", agent.key))


async def vault_elsewhere(reader: Reader) -> dict[str, Any]:
    return {"vault_ids": [(await reader.world.post("/v1/vaults", {"name": f"other {uuid4()}"}))["id"]]}


async def patch_agent(reader: Reader, body: dict[str, Any]) -> None:
    await reader.change("PATCH", reader.url, 200, json=body)


async def put_policy(reader: Reader, body: dict[str, Any]) -> None:
    await reader.change("PUT", reader.policy_url, 200, json=body)


Act = Callable[[Reader], Awaitable[None]]


async def bind_elsewhere(reader: Reader) -> None:
    await patch_agent(reader, await vault_elsewhere(reader))


CHANGES: list[tuple[str, Act, int]] = [
    ("rotated agent key", lambda it: it.change("POST", f"{it.url}/rotate-key", 200), 401),
    ("deactivated agent", lambda it: patch_agent(it, {"is_active": False}), 401),
    ("deleted agent", lambda it: it.change("DELETE", it.url, 204), 401),
    ("expired agent", lambda it: patch_agent(it, {"expires_at": "2020-01-01T00:00:00Z"}), 401),
    ("changed scopes", lambda it: patch_agent(it, {"scopes": ["db/**"]}), 403),
    ("changed vault_ids", bind_elsewhere, 403),
    ("changed permissions", lambda it: put_policy(it, {"permissions": ["write"]}), 403),
    ("changed conditions", lambda it: put_policy(it, {"conditions": {"ip_allowlist": ["192.0.2.1"]}}), 403),
    ("expired policy", lambda it: put_policy(it, {"expires_at": "2020-01-01T00:00:00Z"}), 403),
    ("deleted policy", lambda it: it.change("DELETE", it.policy_url, 204), 403),
]


@pytest.mark.parametrize(("name", "act", "status"), CHANGES, ids=[row[0] for row in CHANGES])
async def test_an_agents_next_request_is_refused(
    instance: Running, reader: Reader, name: str, act: Act, status: int
) -> None:
    for credential in (reader.agent.key, reader.token):
        assert await everywhere(instance.base_url, reader.secret, credential) == ALL_WELL
    await act(reader)
    for credential in (reader.agent.key, reader.token):
        assert await everywhere(instance.base_url, reader.secret, credential) == [status] * CONNECTIONS


async def test_a_policy_that_runs_out_by_itself(instance: Running, reader: Reader, database: Any) -> None:
    found = await database.execute("SELECT clock_timestamp() + interval '4 seconds'")
    (end,) = await found.fetchone()
    await put_policy(reader, {"expires_at": end.isoformat()})
    assert await everywhere(instance.base_url, reader.secret, reader.token) == ALL_WELL
    await asyncio.sleep(4)
    assert await everywhere(instance.base_url, reader.secret, reader.token) == [403] * CONNECTIONS


async def test_a_deleted_vault(instance: Running, world: World) -> None:
    vault = f"/v1/vaults/{(await world.post('/v1/vaults', {'name': f'gone {uuid4()}'}))['id']}"
    answer = await world.http.put(f"{vault}/secrets/a", json={"value": "v"}, headers=world.headers)
    assert answer.status_code == 201
    assert await everywhere(instance.base_url, f"{vault}/secrets/a", world.token) == ALL_WELL
    assert (await world.http.delete(vault, headers=world.headers)).status_code == 204
    assert await everywhere(instance.base_url, f"{vault}/secrets/a", world.token) == [404] * CONNECTIONS


async def test_a_revoked_token(instance: Running, reader: Reader) -> None:
    other = await exchange(reader.world, "agent-token", reader.agent.key)
    assert await everywhere(instance.base_url, reader.secret, reader.token) == ALL_WELL
    answer = await reader.world.http.delete("/v1/auth/token", headers=bearer(reader.token))
    assert (answer.status_code, answer.content) == (204, b"")
    assert await everywhere(instance.base_url, reader.secret, reader.token) == [401] * CONNECTIONS
    # this one only
    for credential in (other, reader.agent.key):
        assert await everywhere(instance.base_url, reader.secret, credential) == ALL_WELL


async def test_a_revoked_personal_key_and_what_was_exchanged_for_it(
    instance: Running, world: World, database: psycopg.AsyncConnection
) -> None:
    person = await sign_up(world, database)
    key_id, key = await person.api_key()
    token, session = await exchange(world, "api-key-token", key), await person.log_in()
    for credential in (key, token):
        assert await everywhere(instance.base_url, "/v1/auth/me", credential) == ALL_WELL
    answer = await world.http.delete(f"/v1/auth/api-keys/{key_id}", headers=bearer(session))
    assert answer.status_code == 204
    for credential in (key, token):
        assert await everywhere(instance.base_url, "/v1/auth/me", credential) == [401] * CONNECTIONS
    assert await everywhere(instance.base_url, "/v1/auth/me", session) == ALL_WELL


async def test_a_changed_password_ends_sessions(
    instance: Running, world: World, database: psycopg.AsyncConnection
) -> None:
    person = await sign_up(world, database)
    session = await person.log_in()
    assert await everywhere(instance.base_url, "/v1/auth/me", session) == ALL_WELL
    body = {"current_password": person.password, "new_password": "Battery-Staple9"}
    answer = await world.http.post("/v1/auth/change-password", json=body, headers=bearer(session))
    assert answer.status_code == 204, answer.text
    assert await everywhere(instance.base_url, "/v1/auth/me", session) == [401] * CONNECTIONS
    old = {"email": person.email, "password": person.password}
    assert (await world.http.post("/v1/auth/token", json=old)).status_code == 401


async def test_a_changed_role(instance: Running, world: World, database: psycopg.AsyncConnection) -> None:
    person = await sign_up(world, database)
    await join(database, person, world, "admin")
    session = await person.log_in()
    assert (
        await everywhere(instance.base_url, "/v1/agents", session, "POST", json={"name": "a"}) == [201] * CONNECTIONS
    )
    answer = await world.http.patch(f"/v1/org/members/{person.id}", json={"role": "member"}, headers=world.headers)
    assert answer.status_code == 200, answer.text
    assert (
        await everywhere(instance.base_url, "/v1/agents", session, "POST", json={"name": "a"}) == [403] * CONNECTIONS
    )


async def test_a_removed_member(instance: Running, world: World, database: psycopg.AsyncConnection) -> None:
    person = await sign_up(world, database)
    await join(database, person, world)
    secret = await make_secret(world)
    await world.post(
        f"/v1/vaults/{world.vault_id}/policies",
        {
            "secret_path_pattern": "**",
            "principal_type": "user",
            "principal_id": person.id,
            "permissions": ["read"],
        },
    )
    session, (_, key) = await person.log_in(), await person.api_key()
    token = await exchange(world, "api-key-token", key)
    for credential in (session, key, token):
        assert await everywhere(instance.base_url, secret, credential) == ALL_WELL
    answer = await world.http.delete(f"/v1/org/members/{person.id}", headers=world.headers)
    assert answer.status_code == 204, answer.text
    for credential in (session, token):
        assert await everywhere(instance.base_url, secret, credential) == [401] * CONNECTIONS
    # the key is the person's, not the organisation's: where it still counts, this vault is unknown
    assert set(await everywhere(instance.base_url, secret, key)) <= {401, 404}
    assert await everywhere(instance.base_url, "/v1/org/members", token) == [401] * CONNECTIONS


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


async def test_an_expired_token(instance: Running, reader: Reader) -> None:
    said = jwt.decode(reader.token, options={"verify_signature": False})
    kind, _, subject = said["sub"].partition(":")
    key = await copied_key(instance.owner_dsn)

    def genuine(lives_s: int) -> str:
        scopes = tuple(said["scopes"])
        order = TokenOrder(kind, UUID(subject), UUID(said["org"]), lives_s, said["ver"], scopes, (), True)
        return key.token(order)

    assert set(await everywhere(instance.base_url, reader.secret, genuine(-1))) == {401}
    short = genuine(4)
    assert await everywhere(instance.base_url, reader.secret, short) == ALL_WELL
    await asyncio.sleep(max(0.0, jwt.decode(short, options={"verify_signature": False})["exp"] - time.time()) + 0.1)
    # its signature is remembered as good, and that does not help
    assert await everywhere(instance.base_url, reader.secret, short) == [401] * CONNECTIONS


async def test_a_token_of_a_key_that_was_rotated_away_and_one_that_never_ends(
    instance: Running, reader: Reader
) -> None:
    said = jwt.decode(reader.token, options={"verify_signature": False})
    key, gone = await copied_key(instance.owner_dsn), await copied_key(instance.owner_dsn, retired_s_ago=86_401)
    assert await everywhere(instance.base_url, reader.secret, key.sign(said)) == ALL_WELL
    thirty_years = int(time.time()) + 30 * 365 * 86_400
    for token in (key.sign(said | {"exp": thirty_years}), gone.sign(said), gone.sign(said | {"exp": thirty_years})):
        assert await everywhere(instance.base_url, reader.secret, token) == [401] * CONNECTIONS


async def test_a_new_keys_tokens_count_while_others_make_keys_up(instance: Running, reader: Reader) -> None:
    said = jwt.decode(reader.token, options={"verify_signature": False})
    statuses: set[int] = set()
    has_begun, is_over = asyncio.Event(), asyncio.Event()

    async def make_up() -> None:
        private = Ed25519PrivateKey.generate()
        async with httpx.AsyncClient(base_url=instance.base_url, timeout=60) as http:
            while not is_over.is_set():
                made_up = CopiedKey(uuid4().hex, private)
                answer = await http.get(reader.secret, headers=bearer(made_up.sign(said)))
                statuses.add(answer.status_code)
                has_begun.set()

    async with asyncio.TaskGroup() as others:
        for _ in range(CONNECTIONS):
            others.create_task(make_up())
        await has_begun.wait()
        key = await copied_key(instance.owner_dsn)
        found = await everywhere(instance.base_url, reader.secret, key.sign(said))
        is_over.set()
    assert (found, statuses) == (ALL_WELL, {401})


async def test_forged_tokens(instance: Running, reader: Reader) -> None:
    assert await everywhere(instance.base_url, reader.secret, reader.token) == ALL_WELL
    header, payload, signature = reader.token.split(".")
    said, kid = jwt.decode(reader.token, options={"verify_signature": False}), jwt.get_unverified_header(reader.token)
    answer = await reader.world.http.get("/v1/auth/jwt-public-key")
    public_text = answer.json()["public_key_base64"]
    public = base64.b64decode(public_text)
    own = Ed25519PrivateKey.generate()
    other = base64.urlsafe_b64decode(signature + "==")
    forged = {
        "tampered claims": f"{header}.{encode(json.dumps(said | {'scopes': ['**']}).encode())}.{signature}",
        "another organisation's claims": _with(reader.token, {"org": str(uuid4())}),
        "a longer life": _with(reader.token, {"exp": said["exp"] + 3600}),
        "a flipped bit": f"{header}.{payload}.{encode(bytes([other[0] ^ 1]) + other[1:])}",
        "no signature": f"{header}.{payload}.",
        "alg none": jwt.encode(said, None, "none", headers={"kid": kid["kid"]}),
        "alg none, with the old signature": f"{encode(NO_ALGORITHM)}.{payload}.{signature}",
        "another key": jwt.encode(said, own, "EdDSA", headers={"kid": kid["kid"]}),
        "another kid": jwt.encode(said, own, "EdDSA", headers={"kid": "other"}),
        "no kid": jwt.encode(said, own, "EdDSA"),
        "its own key in the header": jwt.encode(
            said, own, "EdDSA", headers={"kid": kid["kid"], "jwk": {"kty": "OKP", "crv": "Ed25519", "x": public_text}}
        ),
        "HS256 with the public key": jwt.encode(said, public, "HS256", headers={"kid": kid["kid"]}),
        "HS256 with the public key as text": jwt.encode(said, public_text, "HS256", headers={"kid": kid["kid"]}),
        "four parts": f"{reader.token}.{signature}",
        "two parts": f"{header}.{payload}",
        "no text": "a.b.c",
    }
    for name, token in forged.items():
        assert await everywhere(instance.base_url, reader.secret, token, count=4) == [401] * 4, name
    assert await everywhere(instance.base_url, reader.secret, reader.token) == ALL_WELL


def _with(token: str, claims: dict[str, Any]) -> str:
    """The token with other claims under the old signature."""
    header, _, signature = token.split(".")
    said = jwt.decode(token, options={"verify_signature": False}) | claims
    payload = jwt.encode(said, "no key at all, a signature that is thrown away", "HS256").split(".")[1]
    return f"{header}.{payload}.{signature}"


async def test_another_organisations_ids_are_unknown(
    instance: Running, reader: Reader, database: psycopg.AsyncConnection
) -> None:
    stranger = await sign_up(reader.world, database)
    session = await stranger.log_in()
    unknown, vault_id = str(uuid4()), reader.world.vault_id
    policy, agent_id = reader.policy_id, reader.agent.id
    asked = f"access?principal_type=agent&principal_id={agent_id}&path=a&permission=read"
    routes: list[tuple[str, str, str, Any]] = [
        ("GET", f"/v1/vaults/{vault_id}", vault_id, None),
        ("DELETE", f"/v1/vaults/{vault_id}", vault_id, None),
        ("GET", f"/v1/vaults/{vault_id}/secrets", vault_id, None),
        ("GET", f"/v1/vaults/{vault_id}/secrets/{PATH}", vault_id, None),
        ("PUT", f"/v1/vaults/{vault_id}/secrets/{PATH}", vault_id, {"value": "v"}),
        ("DELETE", f"/v1/vaults/{vault_id}/secrets/{PATH}", vault_id, None),
        ("GET", f"/v1/vaults/{vault_id}/secret-versions/{PATH}", vault_id, None),
        ("GET", f"/v1/vaults/{vault_id}/secret-version/{PATH}/1", vault_id, None),
        ("POST", f"/v1/vaults/{vault_id}/secret-rotate/{PATH}", vault_id, {}),
        ("GET", f"/v1/vaults/{vault_id}/policies", vault_id, None),
        ("PUT", f"/v1/vaults/{vault_id}/policies/{policy}", vault_id, {"permissions": ["read"]}),
        ("DELETE", f"/v1/vaults/{vault_id}/policies/{policy}", vault_id, None),
        ("GET", f"/v1/vaults/{vault_id}/{asked}", vault_id, None),
        ("GET", f"/v1/agents/{agent_id}", agent_id, None),
        ("PATCH", f"/v1/agents/{agent_id}", agent_id, {"name": "mine"}),
        ("DELETE", f"/v1/agents/{agent_id}", agent_id, None),
        ("POST", f"/v1/agents/{agent_id}/rotate-key", agent_id, None),
    ]
    for method, path, known, body in routes:
        answers = [
            await reader.world.http.request(method, each, json=body, headers=bearer(session))
            for each in (path, path.replace(known, unknown))
        ]
        assert [each.status_code for each in answers] == [404, 404], (method, path)
        assert answers[0].json() == answers[1].json(), (method, path)
    assert await everywhere(instance.base_url, reader.secret, reader.token) == ALL_WELL
