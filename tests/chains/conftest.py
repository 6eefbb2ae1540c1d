"""A real anvil of our own, and clients for it."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak

from anvil import chain as local
from anvil.accounts import ACCOUNTS
from anvil.contracts import deploy
from anvil.rpc import call
from chains.addresses import format_address, parse_address
from chains.rpc import ChainClient
from tests.support.faulty_rpc import FaultyRpc
from tests.support.pace import patient
from tests.support.ports import free_port

OWNER = ACCOUNTS[4]
SENDER = parse_address(OWNER.address)


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


def fresh() -> bytes:
    return parse_address(Account.create().address)


def calldata(signature: str, *values: object) -> bytes:
    types = signature[signature.index("(") + 1 : -1]
    return keccak(text=signature)[:4] + encode(types.split(",") if types else [], values)


def send(url: str, to: bytes, data: bytes = b"", value: int = 0, gas: int | None = None) -> str:
    """From the owner's account; the transaction's hash."""
    tx = {"from": OWNER.address, "to": format_address(to), "data": f"0x{data.hex()}", "value": hex(value)}
    return str(call(url, "eth_sendTransaction", tx if gas is None else tx | {"gas": hex(gas)}))


def mined(url: str, tx_hash: str) -> dict[str, str]:
    """The receipt, which automine has ready a moment after it took the transaction."""
    deadline = time.monotonic() + patient(10)
    while (receipt := call(url, "eth_getTransactionReceipt", tx_hash)) is None:
        assert time.monotonic() < deadline, "not mined"
        time.sleep(0.01)
    found: dict[str, str] = receipt
    return found


@pytest.fixture
def token(contracts: Contracts, anvil_url: str) -> bytes:
    mined(anvil_url, send(anvil_url, contracts.token, calldata("mint(address,uint256)", SENDER, 1000)))
    return contracts.token
