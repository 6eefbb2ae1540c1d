"""Health over HTTP: true when it says so, quick and honest when a part is missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from signer.client import SignerClient
from tests.support.leader import leading
from tests.support.vault_api import Tenant
from tests.support.vault_app import client, make_app
from tests.support.world import until
from vault.context import Context
from vault.db import Database
from vault.health.router import router

THREE = {"status", "service", "version"}


async def ask(app: FastAPI, path: str = "/v1/health", status: int = 200) -> dict[str, Any]:
    async with client(app) as http:
        answer = await http.get(path)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_healthy(context: Context) -> None:
    async with leading(context.database):
        body = await ask(make_app(context, [router]))
    # strict clients know these three
    assert body == {"status": "healthy", "service": "talon", "version": context.options.version}


async def test_the_hsm_and_its_custody_checks(tenant: Tenant) -> None:
    body = (await tenant.as_(None).get("/v1/health/hsm")).json()
    assert (body["status"], body["connected"]) == ("ok", True)
    assert body["hsm_provider"]
    assert body["custody_checks"]


async def test_without_a_signer(context: Context, tmp_path: Path) -> None:
    signer = SignerClient(str(tmp_path / "nobody.sock"), timeout_s=0.5)
    app = make_app(replace(context, signer=signer), [router])
    async with leading(context.database):
        body = await ask(app, status=503)
    assert (body["status"], body["reasons"]) == ("degraded", ["The signer does not answer."])
    assert set(body) == THREE | {"reasons"}
    body = await ask(app, "/v1/health/hsm")
    assert (body["status"], body["connected"]) == ("unavailable", False)
    await signer.close()


async def test_without_a_database(context: Context, tmp_path: Path) -> None:
    database = Database(f"postgresql+psycopg://nobody@/none?host={tmp_path}")
    app = make_app(replace(context, database=database), [router])
    body = await ask(app, status=503)
    # what is known of the worker is known by the database: one reason is enough
    assert (body["status"], body["reasons"]) == ("degraded", ["The database does not answer."])
    await database.close()


async def test_without_a_worker(context: Context) -> None:
    body = await ask(make_app(context, [router]), status=503)
    assert body["status"] == "degraded"
    (reason,) = body["reasons"]
    assert reason.startswith("The worker is not at work")


async def test_a_worker_that_falls_silent(context: Context) -> None:
    app = make_app(context, [router])
    async with leading(context.database) as silent:
        assert (await ask(app))["status"] == "healthy"
        silent.set()

        async def noticed() -> bool:
            async with client(app) as http:
                return (await http.get("/v1/health")).status_code == 503

        await until(noticed, 60, "the silence to be noticed", every_s=1)
        assert (await ask(app, status=503))["reasons"][0].startswith("The worker is not at work")


async def test_a_database_that_only_reads(context: Context) -> None:
    # one connection, which is the probe's after us
    database = Database(context.database.engine.url.render_as_string(hide_password=False), pool_size=1)
    async with leading(context.database):
        async with database.engine.connect() as connection:
            await connection.execute(text("SET default_transaction_read_only = on"))
            await connection.commit()
        body = await ask(make_app(replace(context, database=database), [router]), status=503)
    assert body["reasons"] == ["The database takes no writes: it is read-only."]
    await database.close()


async def test_what_is_true_and_does_not_stop_the_main_job(context: Context) -> None:
    async def odd(connection: AsyncConnection) -> Sequence[str]:
        return (f"The answer is {(await connection.execute(text('SELECT 42'))).scalar()}.",)

    async def broken(connection: AsyncConnection) -> Sequence[str]:
        await connection.execute(text("SELECT * FROM nothing_here"))
        return ()

    app = make_app(replace(context, health_notes=(broken, odd)), [router])
    async with leading(context.database):
        body = await ask(app)
    assert (body["status"], body["notes"]) == ("healthy", ["The answer is 42."])
    assert set(body) == THREE | {"notes"}
