"""When the audit log cannot be written, nothing happens and no value leaves."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from talon.roles import grants
from tests.support.postgres import Postgres
from tests.vault.audit.conftest import Log
from vault.db import Database

BROKEN = (
    "CREATE FUNCTION no_audit() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN RAISE EXCEPTION 'no audit today' USING ERRCODE = 'check_violation'; END$$"
)


@asynccontextmanager
async def broken(log: Log) -> AsyncIterator[None]:
    """No event of this organisation can be written."""
    await log.tamper(
        BROKEN,
        "CREATE TRIGGER no_audit BEFORE INSERT ON audit_events FOR EACH ROW "
        f"WHEN (NEW.org_id = '{log.org_id}') EXECUTE FUNCTION no_audit()",
    )
    try:
        yield
    finally:
        await log.tamper("DROP TRIGGER no_audit ON audit_events", "DROP FUNCTION no_audit()")


async def _everything(log: Log) -> list[Any]:
    # a request moves last_active_at, so of agents only how many there are counts
    return [
        await log.rows("SELECT * FROM vaults WHERE org_id = :org ORDER BY id"),
        await log.rows("SELECT count(*) FROM agents WHERE org_id = :org"),
        await log.rows("SELECT * FROM audit_events WHERE org_id = :org ORDER BY id"),
        await log.rows("SELECT * FROM audit_pending WHERE org_id = :org ORDER BY sequence"),
        await log.rows(
            "SELECT version.* FROM secret_versions version JOIN secrets ON secrets.id = version.secret_id "
            "JOIN vaults ON vaults.id = secrets.vault_id WHERE vaults.org_id = :org ORDER BY path, version.version"
        ),
    ]


async def test_reads_and_writes_answer_503_and_nothing_is_done(log: Log) -> None:
    tenant = log.tenant
    vault = await tenant.vault()
    agent = await tenant.agent()
    await tenant.grant(vault, agent)
    await tenant.put(vault, "app/key", "the v@lue of it", max_access_count=3)
    owner, secret = tenant.as_(tenant.owner), f"/v1/vaults/{vault}/secrets/app/key"
    before = await _everything(log)
    async with broken(log):
        for answer in (
            await tenant.as_(agent).get(secret),
            await owner.get(secret),
            await owner.put(secret, json={"value": "another"}),
            await owner.delete(secret),
            await owner.post("/v1/vaults", json={"name": "another"}),
            await owner.post("/v1/agents", json={"name": "another"}),
            await owner.delete(f"/v1/vaults/{vault}"),
            await owner.get("/v1/audit/export"),
        ):
            assert answer.status_code == 503, answer.text
            assert "nothing was done" in answer.json()["detail"]
            assert "retry-after" in answer.headers
            assert "v@lue" not in answer.text
        # what reveals nothing goes on
        assert (await owner.get("/v1/audit/events")).status_code == 200
    assert await _everything(log) == before
    assert (await tenant.as_(agent).get(secret)).json()["value"] == "the v@lue of it"


@pytest.fixture
def app_role(postgres: Postgres, database: Database) -> Iterator[str]:
    """The tests' database with the product's own grants; where to connect as the application."""
    with psycopg.connect(postgres.url("vault").replace("+psycopg", ""), autocommit=True) as connection:
        for role in ("audit_app", "audit_signer"):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        grants(connection, "audit_app", "audit_signer")
        yield postgres.url("vault").replace("postgres@", "audit_app@")
        for role in ("audit_app", "audit_signer"):
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


async def test_the_applications_role_can_add_to_the_log_and_nothing_else(log: Log, app_role: str) -> None:
    await log.grow(3)
    application = Database(app_role)
    for table in ("audit_events", "audit_seals", "audit_heads"):
        for statement in (
            "UPDATE {} SET org_id = org_id",
            "DELETE FROM {}",
            "TRUNCATE {}",
            "ALTER TABLE {} DISABLE TRIGGER ALL",
            "DROP TABLE {}",
            "CREATE TRIGGER t BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        ):
            async with application.engine.connect() as connection:
                with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
                    await connection.execute(text(statement.format(table)))
    log.context = type(log.context)(
        database=application, signer=log.context.signer, chains=log.context.chains, options=log.context.options
    )
    await log.write(2)
    await log.seal()
    assert (await log.verify())["sealed_to"] == 5
    await application.close()
