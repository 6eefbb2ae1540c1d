"""A wallet is asked about by its address: the answer costs the same however much is stored."""

from uuid import uuid4

import pytest
from sqlalchemy import text

import vault.secrets.models
import vault.vaults.models
from intents import wallet_view
from vault.db import Database
from vault.errors import Problem

# imported for their tables
assert vault.secrets.models
assert vault.vaults.models

_FILL = (
    "INSERT INTO vaults (id, org_id, name, description, created_by, created_by_type)"
    " VALUES (:vault_id, :org_id, 'v', '', :org_id, 'user')",
    "INSERT INTO secrets (id, vault_id, path, latest_version)"
    " SELECT gen_random_uuid(), :vault_id, 'keys/' || n, 1 FROM generate_series(1, 20000) n",
    "INSERT INTO secret_versions (secret_id, version, type, key_id, address, exportable, metadata, access_count,"
    " created_by, created_by_type)"
    " SELECT id, 1, 'private_key', gen_random_uuid(), decode(md5(path) || '00000000', 'hex'), false, '{}', 0,"
    " :org_id, 'user' FROM secrets WHERE vault_id = :vault_id",
)


async def test_among_twenty_thousand_keys(database: Database) -> None:
    org_id, vault_id = uuid4(), uuid4()
    async with database.begin() as connection:
        for statement in _FILL:
            await connection.execute(text(statement), {"org_id": org_id, "vault_id": vault_id})
        address = (await connection.execute(text("SELECT decode(md5('keys/777') || '00000000', 'hex')"))).scalar_one()
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("ANALYZE vaults, secrets, secret_versions"))
        for held, asked in ((True, address), (False, b"\x01" * 20)):
            explained = await connection.execute(
                text("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + wallet_view._HELD.text),
                {"org_id": org_id, "address": asked},
            )
            plan = explained.scalar_one()[0]["Plan"]
            assert plan["Actual Rows"] == held
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 40, plan
    async with database.begin() as connection:
        await wallet_view.require_key(connection, org_id, address)
        for other, asked in ((uuid4(), address), (org_id, b"\x01" * 20)):
            with pytest.raises(Problem):
                await wallet_view.require_key(connection, other, asked)
