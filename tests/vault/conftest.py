"""What the tests of vault share: one PostgreSQL, one signer and one application per run.

Every test makes an organisation of its own, so none sees another's rows.
"""

from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from fastapi import FastAPI

import intents.models  # noqa: F401 - the spend ledger's table, which agents' replies read
from chains.rpc import ChainClients
from signer.client import SignerClient
from tests.support.hsm import running_signer
from tests.support.postgres import Postgres, open_database, running_postgres
from tests.support.vault_app import client, make_app
from vault.admin.router import router as admin
from vault.agents.keys_vault_router import router as agent_keys_vault
from vault.agents.router import router as agents
from vault.audit.router import router as audit
from vault.auth.routers import ROUTERS as AUTH
from vault.cmek.router import router as cmek
from vault.context import Context, Options
from vault.db import Database, metadata
from vault.freezes.router import router as freezes
from vault.health.router import router as health
from vault.kek.router import router as vault_keys
from vault.networks.router import router as networks
from vault.networks.service import seed_chains
from vault.orgs.router import router as orgs
from vault.policies.access_router import router as access
from vault.policies.router import router as policies
from vault.restores.router import router as restores
from vault.secrets.router import router as secrets
from vault.security.router import router as ip_rules
from vault.signing_keys.router import router as signing_keys
from vault.vaults.router import router as vaults

OPTIONS = Options(
    public_url="https://talon.example",
    version="0.0.0-test",
    trusted_proxies=("10.0.0.0/8",),
    client_cert_header="Client-Cert",
)

Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    async with open_database(postgres.create("vault"), metadata) as opened:
        async with opened.begin() as connection:
            await seed_chains(connection, with_anvil=True, anvil_rpc_url="http://127.0.0.1:8545")
        yield opened


@pytest.fixture(scope="session")
async def signer(postgres: Postgres, database: Database) -> AsyncIterator[SignerClient]:
    # in the same database, as it always is: it reads the audit log there
    async with running_signer(postgres.url("vault")) as connected:
        yield connected


def dsn_of_signer(postgres: Postgres) -> str:
    """The signer's database with its owner's rights, as libpq wants it."""
    return postgres.url("vault").replace("+psycopg", "")


@pytest.fixture
def verifier_forgets(app: FastAPI) -> None:
    """The next token is checked against the signer's keys of then."""
    if hasattr(app.state, "authenticator"):
        del app.state.authenticator


@pytest.fixture(scope="session")
async def context(database: Database, signer: SignerClient) -> AsyncIterator[Context]:
    chains = ChainClients({})
    yield Context(database=database, signer=signer, chains=chains, options=OPTIONS)
    await chains.close()


@pytest.fixture(scope="session")
def app(context: Context) -> FastAPI:
    return make_app(
        context,
        (
            health,
            *AUTH,
            agents,
            agent_keys_vault,
            freezes,
            signing_keys,
            vaults,
            vault_keys,
            cmek,
            secrets,
            policies,
            access,
            networks,
            orgs,
            ip_rules,
            audit,
            admin,
            restores,
        ),
    )


@pytest.fixture
async def connect(app: FastAPI) -> AsyncIterator[Connect]:
    """Makes HTTP clients: `connect(token_or_key)`, `connect()` for nobody, `peer=` for another address."""
    opened: list[httpx.AsyncClient] = []

    def make(credential: str | None = None, peer: str = "203.0.113.9") -> httpx.AsyncClient:
        opened.append(client(app, credential, peer))
        return opened[-1]

    yield make
    for each in opened:
        await each.aclose()
