"""Agents log in with client certificates through a real nginx that ends TLS in front of a running Talon."""

import base64
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pytest

from talon.ports import free_ports
from tests.support.certificates import Certificate, make_certificate
from tests.support.instance import Running
from tests.support.nginx import running_nginx
from tests.support.world import World

# nginx speaks to Talon from an address of its own, the only one that the instance trusts (tests/conftest.py)
PROXY = "127.0.0.9"
URL = "/v1/auth/agent-token"

# as in docs/mtls.md, but for addresses and files
SERVER = """
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {home}/server.crt;
    ssl_certificate_key {home}/server.key;
    ssl_client_certificate {home}/ca.crt;
    ssl_verify_client {verify};
    location / {{
        proxy_pass {talon};
        proxy_bind {proxy};
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header Client-Cert $ssl_client_escaped_cert;
    }}
}}
"""


@dataclass
class Front:
    """nginx, once without an authority (Talon alone decides) and once with (nginx refuses strangers itself)."""

    home: Path
    authority: Certificate
    open_port: int
    strict_port: int

    def client(self, certificate: Certificate | None, *, strict: bool = False) -> httpx.AsyncClient:
        """An HTTPS client that shows this certificate."""
        context = ssl.create_default_context(cafile=str(self.home / "ca.crt"))
        if certificate is not None:
            chain, key = certificate.save(self.home, certificate.fingerprint[:12])
            context.load_cert_chain(chain, key)
        port = self.strict_port if strict else self.open_port
        return httpx.AsyncClient(base_url=f"https://localhost:{port}", verify=context, timeout=30, trust_env=False)


@pytest.fixture(scope="module")
def front(instance: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    home = tmp_path_factory.mktemp("nginx")
    authority = make_certificate("Test CA")
    authority.save(home, "ca")
    make_certificate("localhost", authority).save(home, "server")
    ports = free_ports(2)
    servers = "".join(
        SERVER.format(port=port, verify=verify, home=home, talon=instance.base_url, proxy=PROXY)
        for port, verify in zip(ports, ("optional_no_ca", "on"), strict=True)
    )
    with running_nginx(home, servers, tuple(ports)):
        yield Front(home, authority, *ports)


def as_proxy(instance: Running) -> httpx.AsyncClient:
    """A client of Talon that comes from the trusted proxy's address."""
    transport = httpx.AsyncHTTPTransport(local_address=PROXY)
    return httpx.AsyncClient(base_url=instance.base_url, transport=transport, timeout=30)


async def register(world: World, certificate: Certificate) -> str:
    body = {
        "name": "by certificate",
        "auth_method": "mtls",
        # as openssl writes it
        "client_cert_fingerprint": bytes.fromhex(certificate.fingerprint).hex(":").upper(),
    }
    return str((await world.post("/v1/agents", body))["agent"]["id"])


async def test_the_right_certificate_gives_a_token_that_works(world: World, front: Front) -> None:
    certificate = make_certificate("robot", front.authority)
    agent_id = await register(world, certificate)
    for strict in (False, True):
        async with front.client(certificate, strict=strict) as http:
            answer = await http.post(URL, json={})
            assert answer.status_code == 200, answer.text
            reply = answer.json()
            assert reply.keys() == {"access_token", "token_type", "expires_in", "agent_id", "vault_ids"}
            assert reply["agent_id"] == agent_id
            headers = {"Authorization": f"Bearer {reply['access_token']}"}
            assert (await http.get("/v1/agents/me", headers=headers)).json()["id"] == agent_id
            # the certificate itself is no credential anywhere else
            assert (await http.get("/v1/agents/me")).status_code == 401
    # the token needs no certificate; switched off, the agent has neither
    assert (await world.http.get("/v1/agents/me", headers=headers)).status_code == 200
    changed = await world.http.patch(f"/v1/agents/{agent_id}", json={"is_active": False}, headers=world.headers)
    assert changed.status_code == 200
    assert (await world.http.get("/v1/agents/me", headers=headers)).status_code == 401
    async with front.client(certificate) as http:
        assert (await http.post(URL, json={})).status_code == 401


async def test_the_audit_knows_the_client_not_the_proxy(
    world: World, front: Front, database: psycopg.AsyncConnection
) -> None:
    certificate = make_certificate("robot", front.authority)
    agent_id = await register(world, certificate)
    async with front.client(certificate) as http:
        assert (await http.post(URL, json={})).status_code == 200
    found = await database.execute(
        "SELECT details->>'method', ip_address FROM audit_events WHERE action = 'auth.success' AND actor_id = %s",
        (agent_id,),
    )
    assert await found.fetchall() == [("mtls", "127.0.0.1")]


async def test_other_expired_and_missing_certificates_are_refused(
    world: World, front: Front, instance: Running
) -> None:
    expired = make_certificate("robot", front.authority, ends_in_s=-60)
    early = make_certificate("robot", front.authority, starts_in_s=3000)
    right = make_certificate("robot", front.authority)
    for certificate in (expired, early, right):
        agent_id = await register(world, certificate)
    same_name = make_certificate("robot", front.authority)
    of_nobody = make_certificate("robot", make_certificate("Another CA"))
    for certificate in (None, same_name, of_nobody):
        async with front.client(certificate) as http:
            for body in ({}, {"agent_id": agent_id}):
                answer = await http.post(URL, json=body)
                assert answer.status_code == 401, answer.text
                assert isinstance(answer.json()["detail"], str)
    # nginx looks at the dates itself, and with an authority at the rest, too (400 is its word for all of it)
    refused = [(expired, False), (early, False), (None, True), (expired, True), (early, True), (of_nobody, True)]
    for certificate, strict in refused:
        async with front.client(certificate, strict=strict) as http:
            assert (await http.post(URL, json={})).status_code == 400
    # a proxy that does not look changes nothing
    async with as_proxy(instance) as http:
        for certificate in (expired, early):
            header = {"Client-Cert": quote(certificate.pem.decode(), safe="")}
            answer = await http.post(URL, json={}, headers=header)
            assert answer.status_code == 401
            assert "expired or is not valid yet" in answer.json()["detail"]


async def test_nobody_else_sets_the_header(world: World, front: Front, instance: Running) -> None:
    victim = make_certificate("victim", front.authority)
    await register(world, victim)
    forms = (f":{base64.b64encode(victim.der).decode()}:", quote(victim.pem.decode(), safe=""))
    own = make_certificate("attacker", front.authority)
    for header in forms:
        # through nginx, which overwrites it, whether the client has a certificate or none
        for certificate in (None, own):
            async with front.client(certificate) as http:
                for name in ("Client-Cert", "client-cert", "CLIENT-CERT", "Client_Cert"):
                    assert (await http.post(URL, json={}, headers={name: header})).status_code == 401
                twice = [("Client-Cert", header), ("Client-Cert", header)]
                assert (await http.post(URL, json={}, headers=twice)).status_code == 401
        # straight to Talon from an address that is no proxy, whatever it says of itself
        for said in ({}, {"X-Forwarded-For": PROXY}, {"X-Forwarded-For": f"{PROXY}, {PROXY}"}):
            async with httpx.AsyncClient(base_url=instance.base_url, timeout=30) as http:
                assert (await http.post(URL, json={}, headers={"Client-Cert": header, **said})).status_code == 401
    # the header itself was right all along: from the proxy's address it counts
    async with as_proxy(instance) as http:
        for header in forms:
            assert (await http.post(URL, json={}, headers={"Client-Cert": header})).status_code == 200
