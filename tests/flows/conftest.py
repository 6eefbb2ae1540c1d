"""Fixtures of the flows: one running instance for most stories, and what speaks to it."""

from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest

from tests.support.instance import Running
from tests.support.world import World


@pytest.fixture(scope="session")
async def world(instance: Running) -> AsyncIterator[World]:
    world = await World.enter(instance.base_url, instance.rpc_url, instance.admin_email, instance.admin_password)
    yield world
    await world.close()


@pytest.fixture(scope="session")
async def clients(instance: Running) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Four API clients with connections of their own."""
    limits = httpx.Limits(max_connections=60)
    clients = [httpx.AsyncClient(base_url=instance.base_url, timeout=120, limits=limits) for _ in range(4)]
    yield clients
    for client in clients:
        await client.aclose()


@pytest.fixture(scope="session")
async def database(instance: Running) -> AsyncIterator[psycopg.AsyncConnection]:
    """The instance's database with the owner's rights: to look behind Talon's back, and to move rows in time."""
    async with await psycopg.AsyncConnection.connect(instance.owner_dsn, autocommit=True) as connection:
        yield connection
