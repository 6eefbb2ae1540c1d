"""An agent's log-in by client certificate: which headers count, from whom, and what the answers are."""

import base64
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from fastapi import FastAPI

from tests.support.certificates import Certificate, make_certificate
from tests.support.factories import Person, audit_rows, make_agent, make_user
from tests.support.vault_app import client, make_app
from vault.auth.routers import ROUTERS as AUTH
from vault.context import Context
from vault.db import Database

PROXY = "10.1.2.3"
URL = "/v1/auth/agent-token"


def rfc_9440(certificate: Certificate) -> str:
    return f":{base64.b64encode(certificate.der).decode()}:"


def escaped(certificate: Certificate) -> str:
    return quote(certificate.pem.decode(), safe="")


async def ask(app: FastAPI, *headers: str, peer: str = PROXY, body: dict[str, Any] | None = None) -> httpx.Response:
    async with client(app, peer=peer) as http:
        return await http.post(URL, json=body or {}, headers=[("Client-Cert", each) for each in headers])


async def with_certificate(database: Database, **columns: Any) -> tuple[Person, UUID, Certificate]:
    person, certificate = await make_user(database), make_certificate("robot")
    values = {"auth_method": "mtls", "client_cert_fingerprint": certificate.fingerprint, **columns}
    robot = await make_agent(database, person.org_id, **values)
    return person, robot.id, certificate


async def test_both_forms_of_the_header_count_from_a_trusted_proxy(app: FastAPI, database: Database) -> None:
    person, agent_id, certificate = await with_certificate(database)
    for header in (rfc_9440(certificate), escaped(certificate), quote(certificate.pem.decode())):
        for body in ({}, {"agent_id": str(agent_id)}):
            answer = await ask(app, header, body=body)
            assert answer.status_code == 200, answer.text
            reply = answer.json()
            assert reply.keys() == {"access_token", "token_type", "expires_in", "agent_id", "vault_ids"}
            assert reply["agent_id"] == str(agent_id)
    async with client(app, reply["access_token"]) as http:
        assert (await http.get("/v1/agents/me")).json()["id"] == str(agent_id)
    rows = await audit_rows(database, person.org_id, "auth.success")
    assert {row.details["method"] for row in rows} == {"mtls"}
    assert len(rows) == 6
    claims = jwt.decode(reply["access_token"], options={"verify_signature": False})
    assert rows[-1].details["jti"] == claims["jti"]


async def test_it_counts_for_nobody_until_the_operator_names_the_header(context: Context, database: Database) -> None:
    # a proxy that is trusted for X-Forwarded-For alone may pass on what clients send
    _, agent_id, certificate = await with_certificate(database)
    plain = make_app(replace(context, options=replace(context.options, client_cert_header=None)), AUTH)
    answer = await ask(plain, rfc_9440(certificate), body={"agent_id": str(agent_id)})
    assert answer.status_code == 400
    assert "access_token" not in answer.text


async def test_the_header_counts_from_nobody_else(app: FastAPI, database: Database) -> None:
    person, agent_id, certificate = await with_certificate(database)
    header = rfc_9440(certificate)
    for forwarded in ({}, {"X-Forwarded-For": PROXY}, {"X-Forwarded-For": f"{PROXY}, {PROXY}"}):
        async with client(app, peer="203.0.113.9") as http:
            body = {"agent_id": str(agent_id)}
            answer = await http.post(URL, json=body, headers={"Client-Cert": header, **forwarded})
        assert answer.status_code == 401
    assert len(await audit_rows(database, person.org_id, "auth.failure")) == 3
    assert not await audit_rows(database, person.org_id, "auth.success")
    # the mapped form of a trusted IPv4 address is that address
    assert (await ask(app, header, peer=f"::ffff:{PROXY}")).status_code == 200


async def test_a_header_that_cannot_be_read_for_certain_is_401(app: FastAPI, database: Database) -> None:
    _, _, certificate = await with_certificate(database)
    good, pem = rfc_9440(certificate), escaped(certificate)
    other = make_certificate("other")
    bad: list[tuple[str, ...]] = [
        (),
        (good, good),
        (good, ""),
        ("",),
        (f"{good}, {good}",),
        (good.strip(":"),),
        (good[:-5] + ":",),
        (good + ";a=1",),
        (f":{base64.b64encode(certificate.der + b'x').decode()}:",),
        (f":{base64.b64encode(certificate.der[:-1]).decode()}:",),
        ("::",),
        (":" + "A" * 40_000 + ":",),
        (pem + pem,),
        (pem + escaped(other),),
        (quote("junk\n") + pem,),
        (pem.replace("CERTIFICATE", "PRIVATE%20KEY"),),
        (certificate.fingerprint,),
        ("%ZZ%00%ff",),
        ("é",),
    ]
    for headers in bad:
        async with client(app, peer=PROXY) as http:
            raw = [(b"Client-Cert", each.encode("latin-1")) for each in headers]
            answer = await http.post(URL, json={}, headers=raw)
        assert answer.status_code == 401, headers


async def test_a_certificate_counts_in_its_time_only(app: FastAPI, database: Database) -> None:
    person = await make_user(database)
    for times in ({"ends_in_s": -5}, {"starts_in_s": 600}):
        certificate = make_certificate("robot", **times)
        await make_agent(database, person.org_id, auth_method="mtls", client_cert_fingerprint=certificate.fingerprint)
        answer = await ask(app, rfc_9440(certificate))
        assert answer.status_code == 401
        assert "expired or is not valid yet" in answer.json()["detail"]


async def test_a_certificate_stands_for_its_live_agent_only(app: FastAPI, database: Database) -> None:
    person, agent_id, certificate = await with_certificate(database)
    header = escaped(certificate)
    assert (await ask(app, escaped(make_certificate("robot")))).status_code == 401
    assert (await ask(app, header, body={"agent_id": str(uuid4())})).status_code == 401
    token = (await ask(app, header)).json()["access_token"]
    async with client(app, person.key) as http:
        assert (await http.patch(f"/v1/agents/{agent_id}", json={"is_active": False})).status_code == 200
        refused = await ask(app, header)
        assert (refused.status_code, refused.json()["detail"]) == (401, "Agent is deactivated")
        async with client(app, token) as agent:
            assert (await agent.get("/v1/agents/me")).status_code == 401
        await http.patch(f"/v1/agents/{agent_id}", json={"is_active": True, "expires_at": "2020-01-01T00:00:00Z"})
        refused = await ask(app, header)
        assert (refused.status_code, refused.json()["detail"]) == (401, "Agent has expired")
        assert (await http.delete(f"/v1/agents/{agent_id}")).status_code == 204
    assert (await ask(app, header)).json()["detail"] == "Invalid credentials"
    rows = await audit_rows(database, person.org_id, "auth.failure")
    assert [row.details["method"] for row in rows] == ["mtls"] * 3


async def test_an_agent_with_another_method_has_no_certificate(app: FastAPI, database: Database) -> None:
    _, _, certificate = await with_certificate(database, auth_method="api_key")
    assert (await ask(app, rfc_9440(certificate))).status_code == 401


@pytest.mark.parametrize("body", [{}, {"agent_id": str(uuid4())}])
async def test_without_any_credential_the_answer_says_what_is_missing(app: FastAPI, body: dict[str, Any]) -> None:
    answer = await ask(app, peer="203.0.113.9", body=body)
    assert answer.status_code == 400
    assert "api_key" in answer.json()["detail"]
