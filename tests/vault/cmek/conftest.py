"""The organisation that these tests act in, and a vault of it whose key is the customer's."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.vault_api import Tenant, tenant
from tests.support.vault_app import client, make_app
from tests.vault.cmek.support import Vault
from vault.cmek.router import router
from vault.context import Context
from vault.vaults import sealed

__all__ = ["tenant"]


@pytest.fixture
async def vault(tenant: Tenant) -> Vault:
    return await Vault.make(tenant)


@pytest.fixture
async def elsewhere(context: Context, tenant: Tenant) -> AsyncIterator[tuple[Context, httpx.AsyncClient]]:
    """Another API process, and the owner's client of it."""
    other = Context(context.database, context.signer, context.chains, context.options)
    async with client(make_app(other, (router,)), tenant.owner.key) as http:
        yield other, http
        await other.rotations.close()


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Rotations stop in front of their second part until the event is set."""
    go_on = asyncio.Event()
    part = sealed.part

    async def slow(*args: Any) -> Any:
        if args[-1].path:
            await go_on.wait()
        return await part(*args)

    monkeypatch.setattr(sealed, "part", slow)
    monkeypatch.setattr(sealed, "MAX_VALUES", 2)
    return go_on
