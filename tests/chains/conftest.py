"""A real anvil of our own, and clients for it."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest

from anvil import chain as local
from anvil.contracts import deploy
from anvil.rpc import call
from chains.addresses import parse_address
from chains.rpc import ChainClient
from tests.support.faulty_rpc import FaultyRpc
from tests.support.ports import free_port


@dataclass(frozen=True)
class Contracts:
    token: bytes
    reverter: bytes
    forwarder: bytes


@pytest.fixture(scope="session")
def anvil_url() -> Iterator[str]:
    """A block per transaction, so that a test need not wait for one."""
    port = free_port()
    process = local.start(local.find_binary(), port, block_time_s=None)
    yield f"http://127.0.0.1:{port}"
    local.stop(process)


@pytest.fixture(scope="session")
def contracts(anvil_url: str) -> Contracts:
    return Contracts(*(parse_address(deploy(anvil_url, name)) for name in ("Token", "Reverter", "Forwarder")))


@pytest.fixture
def manual_mining(anvil_url: str) -> Iterator[None]:
    """Nothing is mined while a test runs; everything left in the pool is mined after it."""
    call(anvil_url, "evm_setAutomine", False)
    yield
    call(anvil_url, "anvil_mine")
    call(anvil_url, "evm_setAutomine", True)


Connect = Callable[..., ChainClient]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients of the local chain's id, `connect(*urls, timeout_s=…)`, and closes them after the test."""
    clients: list[ChainClient] = []

    def make(*urls: str, timeout_s: float = 10.0) -> ChainClient:
        clients.append(ChainClient(local.CHAIN_ID, urls, timeout_s))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def client(connect: Connect, anvil_url: str) -> ChainClient:
    return connect(anvil_url)


@pytest.fixture
async def faulty(anvil_url: str) -> AsyncIterator[FaultyRpc]:
    async with FaultyRpc(anvil_url) as proxy:
        yield proxy


@pytest.fixture
async def faulty_client(connect: Connect, faulty: FaultyRpc) -> ChainClient:
    return connect(faulty.url)
