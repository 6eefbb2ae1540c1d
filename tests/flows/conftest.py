"""Fixtures of the flows: one running instance for most stories, and what speaks to it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import httpx
import psycopg
import pytest

from tests.support.instance import Running, start_instance
from tests.support.odd_node import OddNode
from tests.support.world import World

# what these compare is shown when it fails, as in a test
pytest.register_assert_rewrite("tests.flows.clients", "tests.flows.resynchronise")


@pytest.fixture(scope="session")
async def world(instance: Running) -> AsyncIterator[World]:
    world = await World.of(instance)
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


@pytest.fixture(scope="module")
async def odd_nodes(request: pytest.FixtureRequest) -> AsyncIterator[list[OddNode]]:
    """As many endpoints of the local chain as the module's `NODES` says, or one."""
    async with AsyncExitStack() as stack:
        count = getattr(request.module, "NODES", 1)
        yield [await stack.enter_async_context(OddNode()) for _ in range(count)]


@pytest.fixture(scope="module")
async def running(odd_nodes: list[OddNode], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """An instance of the module's own, which reaches its chain through the odd nodes only."""
    urls = ",".join(node.url for node in odd_nodes)
    started = await start_instance(tmp_path_factory.mktemp("odd"), {"TALON_RPC_31337": urls})
    for node in odd_nodes:
        node.upstream = started.rpc_url
    yield started
    await started.stop()


@pytest.fixture(scope="module")
async def human(running: Running) -> AsyncIterator[World]:
    """The first person of `running`."""
    world = await World.of(running)
    yield world
    await world.close()


@pytest.fixture
def nodes(odd_nodes: list[OddNode]) -> Iterator[list[OddNode]]:
    """The endpoints of `running`; whatever the test had them say, they are sound again behind it."""
    yield odd_nodes
    for node in odd_nodes:
        node.be_sound()


@pytest.fixture
def node(nodes: list[OddNode]) -> OddNode:
    """The first, and mostly the only, endpoint of `running`."""
    return nodes[0]
