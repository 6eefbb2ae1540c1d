"""What the database says is told apart: its own trouble, which passes, or a statement that is wrong."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.support.postgres import running_postgres
from vault.db import Database
from vault.trouble import trouble


@pytest.fixture(scope="module")
async def database() -> AsyncIterator[Database]:
    with running_postgres() as server:
        database = Database(server.url("postgres"), pool_size=1)
        yield database
        await database.close()


@pytest.mark.parametrize(
    ("sqlstate", "said"),
    [
        ("53100", "The database's disk is full"),
        ("25006", "The database takes no writes: it is read-only"),
        # it shuts down, an administrator ended us, a lock was not to be had, a quota or a damaged page
        ("57P01", "The database is not available at the moment"),
        ("55P03", "The database is not available at the moment"),
        ("XX000", "The database failed"),
        # ours: a row that breaks a rule, a table that is not there, a right that we lack
        ("23514", None),
        ("42P01", None),
        ("42501", None),
    ],
)
async def test_each_kind(database: Database, sqlstate: str, said: str | None) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with database.begin() as connection:
            await connection.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$"))
    assert trouble(raised.value) == said
