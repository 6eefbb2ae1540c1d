"""The engine's tables on a real PostgreSQL, without the rest of Talon."""

from collections.abc import AsyncIterator

import pytest

import intents.models
import intents.restored.models
import vault.clock.models
import vault.db
import vault.restores.models
from tests.support.postgres import open_database, running_postgres
from vault.db import Database

# imported for their tables
assert all((intents.models, intents.restored.models, vault.clock.models, vault.restores.models))


@pytest.fixture(scope="session")
async def database() -> AsyncIterator[Database]:
    with running_postgres() as server:
        async with open_database(server.create("intents"), vault.db.metadata) as database:
            yield database
