"""The phases are gone through once; every test that judges something by them shares them."""

from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.soak.phases import Observed, jobs_due, watched, work
from tests.support.instance import start_instance
from tests.support.world import World, until


@pytest.fixture(scope="session")
async def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """An instance with its local chain, busy and then idle."""
    running = await start_instance(Path(tmp_path_factory.mktemp("soak")))
    try:
        world = await World.of(running)
        # used once, so that there is something that could be looked after in vain
        wallet, agent = await world.wallet(), await world.agent()
        sent = await agent.submit(wallet, wallet.address, "0.1")
        assert sent.status_code == 201, sent.text

        async def rests() -> bool:
            return await jobs_due(running) == ["outside use"]

        # first, so that the idle one does not see caches fill that every connection of PostgreSQL has
        busy = await watched(running, "busy", partial(work, world, agent, wallet))
        await until(rests, 120, "everything to be done")
        # the first one lays a map beside each table, once, and reads all of them: a step within minutes of a start
        async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
            await database.execute("VACUUM ANALYZE")
        idle = await watched(running, "idle")
        due = await jobs_due(running)
        await world.close()
    finally:
        await running.stop()
    return Observed(idle, busy, due)
