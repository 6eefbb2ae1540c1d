"""After a connection broke at COMMIT: the answer is what the database says, and it is waited for."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from intents import outcome, wallets
from intents.models import Transaction
from vault.db import Database
from vault.errors import Problem

CHAIN = 31337


async def write(connection: AsyncConnection, address: bytes, transaction_id: UUID) -> None:
    await wallets.lock(connection, CHAIN, address)
    await connection.execute(
        insert(Transaction).values(
            id=transaction_id,
            org_id=uuid4(),
            agent_id=uuid4(),
            key_id=uuid4(),
            chain="anvil",
            chain_id=CHAIN,
            wallet_address=address,
            to_address=b"\x01" * 20,
            value_wei=0,
            data=b"",
            status="signed",
        )
    )


async def test_committed_is_committed(database: Database) -> None:
    transaction_id = uuid4()
    async with database.begin() as connection:
        await write(connection, b"\x0a" * 20, transaction_id)
    await outcome.settle(database, transaction_id, CHAIN, b"\x0a" * 20)


async def test_rolled_back_is_503_and_nothing_was_done(database: Database) -> None:
    with pytest.raises(Problem) as caught:
        await outcome.settle(database, uuid4(), CHAIN, b"\x0b" * 20)
    assert caught.value.status == 503
    assert "nothing was done" in caught.value.detail


@pytest.mark.parametrize("known_wallet", [True, False])
async def test_a_commit_still_under_way_is_waited_for(database: Database, known_wallet: bool) -> None:
    """The old backend lives on after its client is gone: only its end decides."""
    transaction_id, address = uuid4(), uuid4().bytes + b"\x0c" * 4
    if known_wallet:
        async with database.begin() as connection:
            await wallets.lock(connection, CHAIN, address)
    async with database.begin() as old:
        await write(old, address, transaction_id)
        asked = asyncio.create_task(outcome.settle(database, transaction_id, CHAIN, address))
        done, _ = await asyncio.wait([asked], timeout=0.5)
        assert not done
    await asked


async def test_what_stays_unknown_is_said_and_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "DEADLINE_S", 1.0)
    monkeypatch.setattr(outcome, "PAUSE_S", 0.05)
    nowhere = Database("postgresql+psycopg://nobody@/nothing?host=/nonexistent")
    transaction_id = uuid4()
    with pytest.raises(Problem) as caught:
        await outcome.settle(nowhere, transaction_id, CHAIN, b"\x0d" * 20)
    await nowhere.close()
    assert caught.value.status == 503
    assert "not known" in caught.value.detail
    assert str(transaction_id) in caught.value.detail
