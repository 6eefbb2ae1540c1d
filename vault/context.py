"""What a request may reach: the database, the signer, the chains. Built once in `talon.app`."""

from dataclasses import dataclass
from typing import cast

from fastapi import Request

from chains.rpc import ChainClients
from signer.client import SignerClient
from vault.db import Database


@dataclass(frozen=True)
class Options:
    """The operator's settings that the HTTP side needs (from `talon.settings`)."""

    public_url: str
    version: str
    trusted_proxies: tuple[str, ...] = ()
    user_token_ttl_s: int = 900
    agent_token_ttl_s: int = 3600


@dataclass(frozen=True)
class Context:
    """Handed to every router through `app.state.context`."""

    database: Database
    signer: SignerClient
    chains: ChainClients
    options: Options


async def context_of(request: Request) -> Context:
    """FastAPI dependency: the context of the running application.

    Asynchronous on purpose: FastAPI gives a plain function a thread for every request.
    """
    return cast(Context, request.app.state.context)
