"""No statement waits for ever for a database that is there and does nothing; when it goes on, so do we."""

import time
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tests.support.hanging import hanging
from tests.support.pace import patient
from tests.support.postgres import Postgres, running_postgres
from vault.bounded import SLACK_S, be_patient
from vault.db import Database

ONE = text("SELECT 1")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
async def database(server: Postgres) -> AsyncIterator[Database]:
    database = Database(server.url("postgres"), pool_size=2, statement_timeout_ms=500)
    yield database
    await database.close()


async def backend(database: Database) -> int:
    async with database.statements() as connection:
        return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def test_a_server_that_does_nothing_is_given_up_and_found_again(server: Postgres, database: Database) -> None:
    pid = await backend(database)
    began = time.monotonic()
    with hanging(pid), pytest.raises(OperationalError) as raised:
        async with database.begin() as connection:
            await connection.execute(ONE)
    assert 0.5 < time.monotonic() - began < patient(SLACK_S + 3)
    assert raised.value.connection_invalidated
    # on another connection: an answer might still come on the first
    assert await backend(database) != pid


async def test_a_commit_that_is_not_answered_is_given_up_as_well(database: Database) -> None:
    pid = await backend(database)
    connection = await database.engine.connect()
    await connection.execute(ONE)
    with hanging(pid), pytest.raises(OperationalError):
        await connection.commit()
    await connection.close()
    assert await backend(database) != pid


async def test_who_needs_longer_says_so_for_one_transaction(database: Database) -> None:
    slow = text("SELECT pg_sleep(3)")
    async with database.begin() as connection:
        await be_patient(connection, 10)
        # longer than anybody else would be waited for
        await connection.execute(slow)
    with pytest.raises(OperationalError, match="statement timeout"):
        async with database.begin() as connection:
            await connection.execute(slow)


async def test_after_a_restart_nobody_is_given_a_connection_of_before(server: Postgres, database: Database) -> None:
    pid = await backend(database)
    server.stop()
    server.start()
    # no error in between, however long ago that was
    assert await backend(database) != pid
