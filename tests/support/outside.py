"""An external chain of a test's own, wallets on it, and what somebody else does there with their keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from eth_account import Account

from anvil import chain as local
from tests.support.hanging import hanging
from tests.support.instance import Running
from tests.support.ports import free_port
from tests.support.world import ETHER, Chain, Wallet, World, address


@contextmanager
def external_chain(chain_id: int) -> Iterator[str]:
    """A chain that is not Talon's own, a block a second; its URL."""
    port = free_port()
    process = local.start(local.find_binary(), port, chain_id=chain_id)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        local.stop(process)


async def born_wallet(human: World, chain: Chain, wei: int = 100 * ETHER) -> Wallet:
    """A key born in the HSM, with funds on `chain`."""
    path = f"keys/{uuid4().hex}"
    made = await human.post(f"/v1/vaults/{human.vault_id}/secret-generate/{path}", {"type": "private_key"})
    wallet = Wallet(path, made["metadata"]["address"])
    await chain.fund(wallet.address, wei)
    return wallet


async def imported_wallet(human: World, chain: Chain, wei: int = 100 * ETHER) -> Wallet:
    """A key that came from outside, with funds on `chain`."""
    wallet = await human.put_key()
    await chain.fund(wallet.address, wei)
    return wallet


async def used_elsewhere(chain: Chain, wallet: Wallet, count: int = 1) -> None:
    """The chain mines `count` transactions of the wallet that Talon did not sign, whoever has its key."""
    first = await chain.nonce(wallet.address)
    if wallet.private_key is None:
        await chain.rpc("anvil_impersonateAccount", wallet.address)
        for _ in range(count):
            await chain.rpc("eth_sendTransaction", {"from": wallet.address, "to": address(), "value": "0x1"})
    else:
        chain_id = int(await chain.rpc("eth_chainId"), 16)
        for nonce in range(first, first + count):
            raw = Account.sign_transaction(
                {"to": address(), "value": 1, "gas": 21_000, "gasPrice": 10**11, "nonce": nonce, "chainId": chain_id},
                wallet.private_key,
            ).raw_transaction
            await chain.rpc("eth_sendRawTransaction", f"0x{raw.hex().removeprefix('0x')}")
    await chain.wait_nonce(wallet.address, first + count)


async def lost_and_begun_anew(
    running: Running, database: psycopg.AsyncConnection, chain: Chain, wallet: Wallet, count: int = 1
) -> None:
    """The chain has transactions of the wallet that this copy, at its start, does not: no worker saw them."""
    (worker,) = running.pids("worker")
    with hanging(worker):
        await used_elsewhere(chain, wallet, count)
        await begin_anew(database)


async def begin_anew(database: psycopg.AsyncConnection) -> None:
    """What every start does to the database, without the minute that a start takes here."""
    await database.execute("UPDATE instance SET epoch = epoch + 1, start_epoch = epoch + 1")
