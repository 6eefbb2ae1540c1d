"""The migrations give exactly the tables that the models describe, and a second upgrade changes nothing."""

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

import intents.models
import signer.models
import vault.admin.models
import vault.agents.models
import vault.audit.models
import vault.auth.models
import vault.cmek.models
import vault.db
import vault.kek.models
import vault.limits.models
import vault.networks.models
import vault.orgs.models
import vault.policies.models
import vault.secrets.models
import vault.vaults.models
from talon.migrate import RevisionError, head, upgrade, verify_revision
from tests.support.postgres import Postgres, running_postgres

MODELS = (intents.models, vault.agents.models, vault.auth.models, vault.admin.models, vault.networks.models)
MODELS += (vault.audit.models, vault.cmek.models, vault.kek.models, vault.limits.models)
MODELS += (vault.orgs.models, vault.policies.models, vault.secrets.models, vault.vaults.models)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


def test_models_equal_migrations(server: Postgres) -> None:
    url = server.create("migrated")
    upgrade(url, None, None)
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "compare_type": True,
                "include_object": lambda _o, name, kind, _r, _c: not (kind == "table" and name == "alembic_version"),
            },
        )
        metadatas = [vault.db.metadata, signer.models.metadata]
        tables = {table for metadata in metadatas for table in metadata.tables}
        assert {"transactions", "audit_events", "signer.redemptions", "secret_versions"} <= tables
        assert compare_metadata(context, metadatas) == []
    engine.dispose()


async def test_everybody_else_only_verifies(server: Postgres) -> None:
    url = server.create("versions")
    with pytest.raises(RevisionError):
        await verify_revision(url)
    upgrade(url, None, None)
    upgrade(url, None, None)
    await verify_revision(url)
    assert head() is not None
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    engine.dispose()
    with pytest.raises(RevisionError):
        await verify_revision(url)
