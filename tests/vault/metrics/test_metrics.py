"""GET /metrics: who may read it, what it says, and that nothing that is down takes it along."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

import intents.models  # noqa: F401 - the tables
from chains.rpc import ChainClients
from talon.ports import free_ports
from tests.support.factories import make_user
from tests.support.pace import patient
from tests.support.vault_api import Tenant
from tests.support.vault_app import client, make_app
from vault.auth.router import router as auth
from vault.context import Context
from vault.db import Database
from vault.limits.middleware import RateLimit
from vault.metrics.middleware import CountRequests
from vault.metrics.router import router as metrics
from vault.secrets.router import router as secrets
from vault.vaults.router import router as vaults

SCRAPER = "127.0.0.1"


def make(context: Context) -> FastAPI:
    app = make_app(context, (metrics, auth, vaults, secrets))
    app.add_middleware(RateLimit)
    app.add_middleware(CountRequests)
    return app


@pytest.fixture
async def watched(context: Context) -> AsyncIterator[FastAPI]:
    (port,) = free_ports(1)
    # an endpoint that nobody listens on
    chains = ChainClients({31337: [f"http://127.0.0.1:{port}"]})
    limits = {"auth": "2/hour"}
    yield make(replace(context, chains=chains, options=replace(context.options, rate_limits=limits)))
    await chains.close()


async def scrape(app: FastAPI) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    app.state.scraper = None
    del app.state.scraper
    async with client(app, peer=SCRAPER) as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


async def test_who_may_read(watched: FastAPI, database: Database, tenant: Tenant) -> None:
    async def ask(peer: str, credential: str | None = None, **headers: str) -> int:
        async with client(watched, credential, peer=peer) as http:
            return (await http.get("/metrics", headers=headers)).status_code

    admin = await make_user(database, tenant.owner.org_id, "owner", is_platform_admin=True)
    assert await ask("127.0.0.1") == 200
    assert await ask("203.0.113.5") == 401
    assert await ask("203.0.113.5", tenant.owner.key) == 403
    assert await ask("203.0.113.5", admin.key) == 200
    # what a trusted proxy passes on is judged by its client, what any other passes on by its credential
    assert await ask("10.0.0.2", **{"X-Forwarded-For": "127.0.0.1"}) == 200
    assert await ask("10.0.0.2", **{"X-Forwarded-For": "203.0.113.5"}) == 401
    assert await ask("127.0.0.1", **{"X-Forwarded-For": "127.0.0.1"}) == 401


async def test_requests_and_denials_are_counted_by_route_and_rule(watched: FastAPI, tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    agent = await tenant.agent()
    before = await scrape(watched)
    async with client(watched, agent.key, peer="203.0.113.90") as http:
        assert (await http.get(f"/v1/vaults/{vault_id}/secrets/a/b")).status_code == 403
        assert (await http.get(f"/nothing/{uuid4()}")).status_code == 404
        statuses = [(await http.post("/v1/auth/api-key-token", json={"api_key": "x"})).status_code for _ in range(4)]
    assert statuses[2:] == [429, 429]
    after = await scrape(watched)

    def grown(name: str, **labels: str) -> float:
        return after.get(key(name, **labels), 0) - before.get(key(name, **labels), 0)

    assert grown("talon_denials_total", by="policy", rule="policy") == 1
    assert grown("talon_denials_total", by="rate_limit", rule="auth") == 2
    route = "/v1/vaults/{vault_id}/secrets/{path:path}"
    assert grown("talon_http_requests_total", method="GET", route=route, status="403") == 1
    assert grown("talon_http_requests_total", method="GET", route="none", status="404") == 1
    assert grown("talon_http_request_seconds_count", method="GET", route=route) == 1
    assert not any(str(tenant.owner.org_id) in str(each) or str(vault_id) in str(each) for each in after)


async def test_gauges_say_how_the_parts_are(watched: FastAPI, database: Database) -> None:
    address = uuid4().bytes + b"\0\0\0\0"
    async with database.begin() as connection:
        await connection.execute(
            text("""
                INSERT INTO transactions (id, org_id, agent_id, key_id, chain, chain_id, wallet_address, to_address,
                                          value_wei, data, nonce, status, signed_at)
                SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'anvil', 31337,
                       :address, :address, 0, '', n, 'broadcast', clock_timestamp() - make_interval(mins => 8 - n)
                FROM generate_series(0, 5) n
            """),
            {"address": address},
        )
    found = await scrape(watched)
    assert found[key("talon_database_up")] == 1
    assert found[key("talon_signer_up")] == 1
    assert found[key("talon_hsm_ok")] == 1
    assert found[key("talon_audit_pending")] > 0
    assert found[key("talon_audit_pending_oldest_seconds")] > 0
    assert key("talon_mails_unsent") in found
    wallet = {"chain_id": "31337", "address": f"0x{address.hex()}"}
    # those of 8, 7 and 6 minutes, and that of 5, which has just passed
    assert found[key("talon_stuck_wallet_transactions", **wallet)] == 4
    assert found[key("talon_stuck_wallet_oldest_seconds", **wallet)] == pytest.approx(480, abs=30)
    assert found[key("talon_stuck_wallets")] >= 1
    assert found[key("talon_clock_in_doubt")] == 0
    assert key("talon_clock_ahead_seconds") in found
    assert {value for (name, _), value in found.items() if name == "talon_scrape_failed"} == {0}
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM transactions WHERE wallet_address = :a"), {"a": address})


async def test_a_dead_endpoint_and_a_dead_database_do_not_hold_it_up(watched: FastAPI, context: Context) -> None:
    async with context.database.begin() as connection:
        await connection.execute(
            text("INSERT INTO wallets (chain_id, address, next_nonce) VALUES (31337, :address, 0)"),
            {"address": uuid4().bytes + b"\0\0\0\0"},
        )
    began = time.monotonic()
    found = await scrape(watched)
    assert not [name for name, _ in found if name == "talon_wallet_balance"]
    assert time.monotonic() - began < patient(3)

    gone = Database("postgresql+psycopg://nobody@/none?host=/nonexistent")
    app = make(replace(context, database=gone))
    began = time.monotonic()
    found = await scrape(app)
    assert found[key("talon_database_up")] == 0
    assert found[key("talon_scrape_failed", fact="audit")] == 1
    assert found[key("talon_hsm_ok")] == 1
    assert time.monotonic() - began < patient(3)
    await gone.close()


async def test_one_page_serves_all_who_ask_within_a_second(watched: FastAPI) -> None:
    async with client(watched, peer=SCRAPER) as http:
        first: httpx.Response = await http.get("/metrics")
        assert (await http.get("/metrics")).text == first.text
