"""An agent's log-in by its identity provider's assertion, with an issuer of the test's own."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.support.factories import Person, audit_rows, make_agent, make_user
from tests.support.issuer import Issuer, running_issuer
from tests.support.vault_app import client, make_app
from tests.vault.conftest import OPTIONS
from vault.agents.router import router as agents
from vault.auth.router import router as auth
from vault.context import Context
from vault.db import Database

URL = "/v1/auth/agent-token"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CLIENT = "robot-client"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def stranger() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="module")
async def http(context: Context, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    options = replace(OPTIONS, oidc_issuers=("http://127.0.0.1:1", issuer.url))
    async with client(make_app(replace(context, options=options), (auth, agents))) as opened:
        yield opened


async def robot(database: Database, issuer: Issuer, **columns: Any) -> tuple[Person, UUID, str]:
    """An agent with a client of its own."""
    person = await make_user(database)
    client_id = columns.pop("oidc_client_id", f"{CLIENT}-{person.id}")
    values = {"auth_method": "oidc_client_credentials", "oidc_issuer": issuer.url, "oidc_client_id": client_id}
    made = await make_agent(database, person.org_id, **{**values, **columns})
    return person, made.id, client_id


def assertion(issuer: Issuer, **claims: Any) -> str:
    return issuer.token(**{"aud": OPTIONS.public_url, **claims})


async def test_an_assertion_is_exchanged_for_a_token(
    http: httpx.AsyncClient, issuer: Issuer, database: Database
) -> None:
    person, agent_id, client_id = await robot(database, issuer)
    bodies: list[dict[str, Any]] = [
        {"client_assertion": assertion(issuer, azp=client_id), "client_assertion_type": JWT_BEARER},
        {"client_assertion": assertion(issuer, client_id=client_id, sub="x")},
        {"assertion": assertion(issuer, sub=client_id, aud=["x", OPTIONS.public_url + URL])},
        {"id_token": assertion(issuer, sub=client_id), "api_key": None},
    ]
    for body in bodies:
        answer = await http.post(URL, json={"agent_id": str(agent_id), **body})
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == {"access_token", "token_type", "expires_in", "agent_id", "vault_ids"}
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert (await http.get("/v1/agents/me", headers=headers)).json()["id"] == str(agent_id)
    rows = await audit_rows(database, person.org_id, "auth.success")
    assert [row.details["method"] for row in rows] == ["oidc_client_credentials"] * len(bodies)
    for body in bodies:
        assert not any(str(value) in str(rows) for value in body.values() if str(value).startswith("ey"))


async def test_assertions_that_do_not_count(
    http: httpx.AsyncClient, issuer: Issuer, stranger: Issuer, database: Database
) -> None:
    person, agent_id, client_id = await robot(database, issuer)
    await robot(database, stranger, oidc_client_id=client_id)
    now = int(time.time())
    wrong = {
        "somebody else's issuer": assertion(stranger, azp=client_id),
        "an issuer in another's name": assertion(stranger, azp=client_id, iss=issuer.url),
        "another audience": assertion(issuer, azp=client_id, aud="https://other.example"),
        "a longer audience": assertion(issuer, azp=client_id, aud=OPTIONS.public_url + ".evil.example"),
        "another client": assertion(issuer, azp="somebody", client_id=client_id, sub=client_id),
        "no client": assertion(issuer),
        "a client that is no text": assertion(issuer, azp=[client_id], sub=client_id),
        "a client with NUL": assertion(issuer, azp=client_id + "\0"),
        "an id that is no text": assertion(issuer, azp=client_id, jti=5),
        "expired": assertion(issuer, azp=client_id, exp=now - 60),
        "too long-lived": assertion(issuer, azp=client_id, exp=now + 7200),
        "no issuer": assertion(issuer, azp=client_id, iss=None),
        "not a token": "x",
        "empty": "",
    }
    for name, token in wrong.items():
        answer = await http.post(URL, json={"client_assertion": token, "agent_id": str(agent_id)})
        assert answer.status_code == 401, name
        assert isinstance(answer.json()["detail"], str)
    assert stranger.asked == {}
    failures = await audit_rows(database, person.org_id, "auth.failure")
    assert len(failures) == len(wrong)
    assert not await audit_rows(database, person.org_id, "auth.success")


async def test_an_assertion_with_an_id_counts_once(
    http: httpx.AsyncClient, issuer: Issuer, database: Database
) -> None:
    _, agent_id, client_id = await robot(database, issuer)
    mine = {"agent_id": str(agent_id)}
    body = mine | {"client_assertion": assertion(issuer, azp=client_id, jti=f"one-{client_id}")}
    answers = await asyncio.gather(*(http.post(URL, json=body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 5
    # the id alone counts, not the bytes; and of this issuer
    again = mine | {"client_assertion": assertion(issuer, azp=client_id, jti=f"one-{client_id}", nonce="x")}
    assert (await http.post(URL, json=again)).status_code == 401
    other = mine | {"client_assertion": assertion(issuer, azp=client_id, jti=f"two-{client_id}")}
    assert (await http.post(URL, json=other)).status_code == 200


async def test_only_a_live_agent_of_this_method_gets_a_token(
    http: httpx.AsyncClient, issuer: Issuer, database: Database
) -> None:
    for columns, said in (
        ({"is_active": False}, "Agent is deactivated"),
        ({"auth_method": "api_key"}, "Invalid credentials"),
    ):
        _, agent_id, client_id = await robot(database, issuer, **columns)
        body = {"agent_id": str(agent_id), "client_assertion": assertion(issuer, azp=client_id)}
        answer = await http.post(URL, json=body)
        assert (answer.status_code, answer.json()["detail"]) == (401, said)


async def test_agents_that_share_a_client_are_told_apart_by_their_id(
    http: httpx.AsyncClient, issuer: Issuer, database: Database
) -> None:
    _, first, client_id = await robot(database, issuer)
    _, second, _ = await robot(database, issuer, oidc_client_id=client_id)
    for agent_id in (first, second):
        body = {"client_assertion": assertion(issuer, azp=client_id), "agent_id": str(agent_id)}
        assert (await http.post(URL, json=body)).json()["agent_id"] == str(agent_id)


async def test_an_issuer_that_does_not_answer_is_503(http: httpx.AsyncClient, issuer: Issuer) -> None:
    token = assertion(issuer, azp="x", iss="http://127.0.0.1:1")
    answer = await http.post(URL, json={"client_assertion": token, "agent_id": str(uuid4())})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    "body",
    [
        {"client_assertion": 5},
        {"client_assertion": "x", "api_key": "ocv_x"},
        {"client_assertion": "x", "client_assertion_type": "urn:other"},
        {"client_assertion": "x" * 20_000},
        # without agent_id a stranger's agent of the same client might answer
        {"client_assertion": "x"},
    ],
)
async def test_a_malformed_exchange_is_400(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await http.post(URL, json=body)
    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)
