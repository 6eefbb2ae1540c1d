"""Talon on parts of the operator's: PostgreSQL 15 from Debian, a Redis server, a chain, two API processes.

What the operator does beforehand stands in docs/external-parts.md; this does the same.
"""

import re
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from os import kill
from pathlib import Path

import psycopg
import pytest
from redis.asyncio import Redis as RedisClient

from anvil import chain as anvil
from talon.ports import free_ports
from tests.support.debian_postgres import find_debian_postgres
from tests.support.instance import Running, start_instance
from tests.support.postgres import Postgres
from tests.support.redis import Redis, running_redis
from tests.support.world import ETHER, World, address, until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "external-parts.md"
ROLES = ("talon_owner", "talon_app", "talon_signer")


@dataclass
class Server:
    """The operator's PostgreSQL, reached over TCP with passwords."""

    port: int
    directory: Path
    passwords: dict[str, str] = field(repr=False)

    def url(self, role: str) -> str:
        return f"postgresql://{role}:{self.passwords[role]}@127.0.0.1:{self.port}/talon"

    def ask(self, statement: str, role: str | None = None) -> list[tuple[object, ...]]:
        """As this role, or as the server's administrator."""
        to = self.url(role) if role else f"host={self.directory} user=postgres dbname=talon port={self.port}"
        with psycopg.connect(to, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    binaries, environment = find_debian_postgres()
    (port,) = free_ports(1)
    settings = {"listen_addresses": "127.0.0.1", "port": str(port), "password_encryption": "scram-sha-256"}
    with tempfile.TemporaryDirectory(prefix="talon-pg15-") as place:
        directory = Path(place)
        server = Postgres(directory, binaries, settings, environment)
        server.start()
        try:
            yield prepared(port, directory)
        finally:
            server.stop()


def prepared(port: int, directory: Path) -> Server:
    """Do what the operator's page says."""
    server = Server(port, directory, {role: secrets.token_urlsafe(16) for role in ROLES})
    statements = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    for role in ROLES:
        statements = statements.replace(f"'password of {role}'", f"'{server.passwords[role]}'")
    assert "password of" not in statements
    with psycopg.connect(
        host=str(directory), port=port, user="postgres", dbname="postgres", autocommit=True
    ) as admin:
        for statement in statements.split(";"):
            if statement.strip():
                admin.execute(statement.encode())
    # from here on, nobody comes in over TCP without his password
    rules = directory / "data" / "pg_hba.conf"
    rules.write_text("local all postgres trust\nhost talon all 127.0.0.1/32 scram-sha-256\n")
    server.ask("SELECT pg_reload_conf()")
    return server


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with running_redis() as server:
        yield server


@pytest.fixture(scope="module")
def rpc_url() -> Iterator[str]:
    (port,) = free_ports(1)
    process = anvil.start(anvil.find_binary(), port)
    yield f"http://127.0.0.1:{port}"
    anvil.stop(process)


@pytest.fixture(scope="module")
async def talon(
    tmp_path_factory: pytest.TempPathFactory, postgres: Server, redis: Redis, rpc_url: str
) -> AsyncIterator[Running]:
    environment = {
        "TALON_WORKERS": "2",
        "TALON_DATABASE_URL": postgres.url("talon_owner"),
        "TALON_DATABASE_APP_URL": postgres.url("talon_app"),
        "TALON_DATABASE_SIGNER_URL": postgres.url("talon_signer"),
        "TALON_REDIS_URL": redis.url,
        "TALON_ANVIL_PORT": "0",
        "TALON_RPC_31337": rpc_url,
    }
    running = await start_instance(tmp_path_factory.mktemp("external"), environment)
    yield running
    await running.stop()


@pytest.fixture(scope="module")
async def operated(talon: Running, rpc_url: str) -> AsyncIterator[World]:
    world = await World.enter(talon.base_url, rpc_url, talon.admin_email, talon.admin_password)
    yield world
    await world.close()


async def test_the_main_job_and_secret_reads(talon: Running, operated: World, postgres: Server, redis: Redis) -> None:
    assert talon.process_names() == ["api", "signer", "supervisor", "worker"]
    assert str(postgres.ask("SHOW server_version")[0][0]).startswith("15.")

    # an agent's transaction, asserted from the chain
    wallet, agent, to = await operated.wallet(), await operated.agent(), address()
    submitted = await agent.submit(wallet, to, "1.5")
    assert submitted.status_code == 201, submitted.text
    assert (await agent.mined(submitted.json()["id"]))["status"] == "broadcast"
    receipt = await operated.chain.receipt(submitted.json()["tx_hash"])
    assert (receipt["status"], receipt["from"].lower(), receipt["to"].lower()) == (
        "0x1",
        wallet.address.lower(),
        to.lower(),
    )
    assert await operated.chain.balance(to) == 3 * ETHER // 2

    # a secret, written and read
    where = f"/v1/vaults/{operated.vault_id}/secrets/app/password"
    value = secrets.token_urlsafe(16)
    stored = await operated.http.put(where, json={"type": "password", "value": value}, headers=operated.headers)
    assert stored.status_code == 201, stored.text
    for _ in range(10):
        assert (await operated.http.get(where, headers=operated.headers)).json()["value"] == value
    assert (await agent.http.get(where, headers=agent.headers)).status_code == 403

    # Redis counts the requests, and the database tells the roles apart
    async with RedisClient.from_url(redis.url) as client:
        assert [key async for key in client.scan_iter("TALON:LIMITS*")]
    assert postgres.ask("SELECT count(*) FROM rate_counters")[0][0] == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.ask("SELECT * FROM signer.vault_keys", "talon_app")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.ask("SELECT * FROM public.secrets", "talon_signer")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.ask("DELETE FROM audit_events RETURNING 1", "talon_app")


async def test_any_process_answers_for_all_and_none_is_forgotten(talon: Running, operated: World) -> None:
    async def page() -> str:
        answer = await operated.http.get("/metrics")
        assert answer.status_code == 200, answer.text
        return answer.text

    async def sum_of(name: str) -> float:
        lines = [line for line in (await page()).splitlines() if line.startswith(f"{name}{{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    assert 'talon_signatures_total{kind="submit"} ' in await page()
    wallets = await until(lambda: sum_of("talon_wallet_balance"), what="a balance")
    assert wallets > 998
    before = await sum_of("talon_http_requests_total")
    for pid in talon.pids("api"):
        kill(pid, signal.SIGKILL)

    async def healthy() -> bool:
        return len(talon.pids("api")) == 2 and await talon.healthy()

    await until(healthy, what="two API processes again")
    assert await sum_of("talon_http_requests_total") > before


async def test_without_redis_everything_goes_on(talon: Running, operated: World, redis: Redis) -> None:
    redis.kill()
    for _ in range(10):
        assert (await operated.http.get("/v1/vaults", headers=operated.headers)).status_code == 200

    async def noticed() -> bool:
        return "talon_rate_limit_storage_losses_total " in (await operated.http.get("/metrics")).text

    await until(noticed, what="the loss in the metrics")
    assert await talon.healthy()
