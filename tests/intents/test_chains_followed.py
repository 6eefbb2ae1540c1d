"""Chains side by side: one that does not answer is looked at less and less often and holds up no other."""

import asyncio
import logging
from collections.abc import AsyncIterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, insert, update

import intents.chains_followed as followed
from chains.defaults import DEFAULT_CHAINS
from chains.errors import RpcUnavailable, Unreadable
from intents.chains_followed import MAX_PAUSE_S, ChainsFollowed
from intents.models import Transaction, Wallet
from vault.db import Database

CHAINS = {chain.chain_id: chain for chain in DEFAULT_CHAINS}
DEAD, SOUND = 10, 137


class World:
    """What the followers meet: a clock, and what each chain does to whoever looks at it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.looks: list[tuple[float, int]] = []
        self.trouble: dict[int, Exception] = {}
        self.hanging: set[int] = set()

    def monotonic(self) -> float:
        return self.now

    async def load_chain(self, connection: Any, chain_id: int) -> Any:
        return CHAINS.get(chain_id)

    async def reconcile_wallet(self, context: Any, chain: Any, address: bytes, memory: Any) -> None:
        self.looks.append((self.now, chain.chain_id))
        if chain.chain_id in self.hanging:
            await asyncio.Event().wait()
        if chain.chain_id in self.trouble:
            raise self.trouble[chain.chain_id]


@pytest.fixture
async def world(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    world = World()
    monkeypatch.setattr(followed, "reconcile_wallet", world.reconcile_wallet)
    monkeypatch.setattr(followed, "load_chain", world.load_chain)
    monkeypatch.setattr(followed, "time", world)
    open_: list[UUID] = []
    async with database.begin() as connection:
        for chain_id in (DEAD, SOUND):
            address = uuid4().bytes + b"\0\0\0\0"
            await connection.execute(insert(Wallet).values(chain_id=chain_id, address=address, next_nonce=1))
            await connection.execute(
                insert(Transaction).values(
                    id=(id_ := uuid4()),
                    org_id=uuid4(),
                    agent_id=uuid4(),
                    key_id=uuid4(),
                    chain="some",
                    chain_id=chain_id,
                    wallet_address=address,
                    to_address=address,
                    value_wei=0,
                    data=b"",
                    nonce=0,
                    status="signed",
                )
            )
            open_.append(id_)
    yield world
    async with database.begin() as connection:
        await connection.execute(
            update(Transaction).where(Transaction.id.in_(open_)).values(final_at=func.clock_timestamp())
        )


async def ticks(chains: ChainsFollowed, world: World, database: Database, seconds: float) -> None:
    """Half a second at a time, as the worker does; every round that can end ends in between."""
    context: Any = SimpleNamespace(database=database)
    for _ in range(int(2 * seconds)):
        await chains.tick(context)
        rounds = [task for chain_id, task in chains._rounds.items() if chain_id not in world.hanging]
        await asyncio.gather(*rounds)
        world.now += 0.5


def looks_at(world: World, chain_id: int) -> list[float]:
    return [at for at, looked in world.looks if looked == chain_id]


async def test_a_dead_chain_is_looked_at_less_and_less_often_and_logged_once(
    world: World, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    chains = ChainsFollowed()
    world.trouble[DEAD] = RpcUnavailable("chain 10 cannot be reached")
    await ticks(chains, world, database, 120)
    looks = looks_at(world, DEAD)
    pauses = [later - earlier for earlier, later in pairwise(looks)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 2
    assert pauses[-1] >= MAX_PAUSE_S
    assert len(looks_at(world, SOUND)) == 240
    assert len(caplog.records) == 1
    assert "cannot be reached" in caplog.messages[0]
    world.trouble.clear()
    await ticks(chains, world, database, 2 * MAX_PAUSE_S)
    assert len(caplog.records) == 2
    assert caplog.messages[1].endswith("answers again")
    assert len(looks_at(world, DEAD)) > 60
    await chains.close()


async def test_a_chain_that_hangs_is_asked_once_and_the_other_goes_on(world: World, database: Database) -> None:
    chains = ChainsFollowed()
    world.hanging.add(DEAD)
    await ticks(chains, world, database, 30)
    assert len(looks_at(world, DEAD)) == 1
    assert len(looks_at(world, SOUND)) == 60
    async with asyncio.timeout(10):
        await chains.close()


async def test_an_answer_that_cannot_be_read_is_no_dead_chain(
    world: World, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    chains = ChainsFollowed()
    world.trouble[DEAD] = Unreadable("the node answers what cannot be read")
    with caplog.at_level(logging.WARNING):
        await ticks(chains, world, database, 30)
    assert len(looks_at(world, DEAD)) == 60
    assert len(caplog.records) == 1
    await chains.close()
