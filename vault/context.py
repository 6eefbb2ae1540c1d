"""What a request may reach: the database, the signer, the chains. Built once in `talon.app`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

from fastapi import Request

from chains.rpc import ChainClients
from signer.client import SignerClient
from vault.audit.compare import Compare
from vault.cmek.tasks import Tasks
from vault.db import Database
from vault.health.host import HostReport
from vault.health.notes import NoteSource
from vault.limits.counters import Counters, open_counters


@dataclass(frozen=True)
class Options:
    """The operator's settings that the HTTP side needs (from `talon.settings`)."""

    public_url: str
    version: str
    trusted_proxies: tuple[str, ...] = ()
    user_token_ttl_s: int = 900
    agent_token_ttl_s: int = 3600
    # whose ID tokens are taken for a log-in with Google: audiences, issuers, where the keys are
    google_client_ids: tuple[str, ...] = ()
    google_issuers: tuple[str, ...] = ("https://accounts.google.com", "accounts.google.com")
    google_jwks_url: str = "https://www.googleapis.com/oauth2/v3/certs"
    # OIDC issuers that agents may come from; an issuer is fetched from, so the operator names them
    oidc_issuers: tuple[str, ...] = ()
    # the header in which a trusted proxy passes a client's verified certificate on
    client_cert_header: str | None = None
    # limits by name, in the notation of the limits library; "off" switches one off
    rate_limits: Mapping[str, str] = field(default_factory=dict)
    redis_url: str | None = field(default=None, repr=False)
    # whether chain 31337 is the local one that the supervisor started, and nobody else's
    owns_local_chain: bool = False
    # API processes that share the database
    processes: int = 1
    # who may read /metrics without being the platform's administrator
    metrics_networks: tuple[str, ...] = ("127.0.0.0/8", "::1")
    # how long people may undo what put something out of reach; after that the platform admin alone
    undo_days: int = 30
    # wallets that hold less are counted as low
    low_balance_wei: int = 10**16


@dataclass(frozen=True)
class Context:
    """Handed to every router through `app.state.context`."""

    database: Database
    signer: SignerClient
    chains: ChainClients
    options: Options
    # the vault does not know what signatures are for
    compare_signatures: Compare | None = None
    # what else there is to say on /v1/health
    health_notes: tuple[NoteSource, ...] = ()
    # what the supervisor says of the machine and its processes
    host: HostReport = field(default_factory=lambda: HostReport(None))

    @cached_property
    def limits(self) -> Counters:
        """The rate limits' counters, opened on first use."""
        options = self.options
        return open_counters(
            self.database, overrides=options.rate_limits, redis_url=options.redis_url, processes=options.processes
        )

    @cached_property
    def strangers_mails(self) -> asyncio.Semaphore:
        """Two at a time: they wait for each other in the database, and would take its connections from everybody."""
        return asyncio.Semaphore(2)

    @cached_property
    def comparisons(self) -> "dict[tuple[int, bytes], asyncio.Future[None]]":
        """The wallets that are held against their chains at this moment, by chain and address: one look each."""
        return {}

    @cached_property
    def rotations(self) -> Tasks:
        """The rotations of customers' keys that this process works on."""
        return Tasks()


async def context_of(request: Request) -> Context:
    """FastAPI dependency: the context of the running application.

    Asynchronous on purpose: FastAPI gives a plain function a thread for every request.
    """
    return cast(Context, request.app.state.context)
