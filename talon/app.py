"""The one wiring point: which routers, which parts, in which order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI

from chains.rpc import ChainClients
from intents.engine import Engine
from intents.outside.tell import note as wallets_note
from intents.reset_router import router as resets
from intents.restored.router import router as restored
from intents.router import router as transactions
from intents.signatures import compare
from intents.wallet_router import router as wallets
from signer.client import SignerClient
from talon.access_log import AccessLog
from talon.config import ProcessConfig
from talon.dashboard.mail_links import router as mail_links
from talon.dashboard.sign_in import router as sign_in
from talon.dashboard.static import router as style
from talon.openapi import publish
from vault import problems
from vault.admin.router import router as admin
from vault.agents.keys_vault_router import router as agent_keys_vault
from vault.agents.router import router as agents
from vault.audit.router import router as audit
from vault.auth.recent import Recent
from vault.auth.routers import ROUTERS as AUTH
from vault.clock.store import note as clock_note
from vault.cmek.router import router as cmek
from vault.context import Context, Options
from vault.db import SHARED, Database
from vault.freezes.router import router as freezes
from vault.head import Head
from vault.health.host import HostReport
from vault.health.notes import NoteSource
from vault.health.router import router as health
from vault.kek.router import router as vault_keys
from vault.limits.middleware import RateLimit
from vault.metrics.middleware import CountRequests
from vault.metrics.router import router as metrics
from vault.networks.router import router as networks
from vault.orgs.router import router as orgs
from vault.policies.access_router import router as access
from vault.policies.router import router as policies
from vault.restores.notes import restore_note
from vault.restores.router import router as end_credentials
from vault.secrets.router import router as secrets
from vault.security.router import router as ip_rules
from vault.signing_keys.router import router as signing_keys
from vault.vaults.router import router as vaults

ROUTERS = (
    health,
    metrics,
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
    end_credentials,
    transactions,
    wallets,
    resets,
    restored,
)
PAGES = (sign_in, mail_links, style)
# each asked when /v1/health is looked at: a connection in, sentences out
HEALTH_NOTES: tuple[NoteSource, ...] = (
    clock_note,
    restore_note,
    wallets_note,
)


def make_context(config: ProcessConfig, *, pool_size: int) -> Context:
    """The parts an API or worker process works with."""
    return Context(
        database=Database(config.database_url, pool_size=pool_size),
        signer=SignerClient(config.signer_socket),
        chains=ChainClients(config.rpc_urls),
        options=make_options(config),
        compare_signatures=compare,
        health_notes=HEALTH_NOTES,
    )


def make_options(config: ProcessConfig) -> Options:
    """What the HTTP side needs of the configuration; what the operator left out keeps its default."""
    chosen = {
        "google_issuers": config.google_issuers,
        "google_jwks_url": config.google_jwks_url,
        "client_cert_header": config.client_cert_header,
        "metrics_networks": config.metrics_networks,
    }
    return Options(
        public_url=config.public_url,
        version=config.version,
        trusted_proxies=config.trusted_proxies,
        google_client_ids=config.google_client_ids,
        oidc_issuers=config.oidc_issuers,
        rate_limits=config.rate_limits,
        redis_url=config.redis_url,
        processes=config.processes,
        owns_local_chain=config.owns_local_chain,
        low_balance_wei=config.low_balance_wei,
        undo_days=config.undo_days,
        **{name: value for name, value in chosen.items() if value},  # type: ignore[arg-type]  # by name, as declared
    )


async def close_context(context: Context) -> None:
    """Give up what goes on in the background; return every connection."""
    await context.rotations.close()
    await context.limits.close()
    await context.chains.close()
    await context.signer.close()
    await context.database.close()


def create_app(
    config: ProcessConfig,
    recent: Recent | None = None,
    report: int | None = None,
    beside: Sequence[Callable[[], Coroutine[None, None, None]]] = (),
) -> FastAPI:
    """The ASGI application of one API process; `recent` is what the connections' keeper shares with it.

    `report` is the descriptor by which the supervisor says what it knows; `beside` runs while it serves.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        context = make_context(config, pool_size=SHARED)
        app.state.context = replace(context, host=HostReport(report))
        app.state.engine = Engine()
        tasks = [asyncio.create_task(each()) for each in beside]
        yield
        for task in tasks:
            task.cancel()
        await close_context(app.state.context)

    app = FastAPI(
        title="Talon",
        version=config.version,
        summary="A vault and transaction-intents engine for AI agents.",
        lifespan=lifespan,
        # a page of somebody else's scripts has no place beside secrets; the document itself is at /openapi.json
        docs_url=None,
        redoc_url=None,
        # a redirect would be built from the client's Host header
        redirect_slashes=False,
    )
    app.state.recent = recent or Recent()
    problems.install(app)
    # before a body is read
    app.add_middleware(RateLimit)
    app.add_middleware(Head)
    app.add_middleware(AccessLog)
    app.add_middleware(CountRequests)
    for router in (*ROUTERS, *PAGES):
        app.include_router(router)
    publish(app, ROUTERS)
    return app
