"""Health over HTTP: true when it says so, quick and honest when a part is missing."""

from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI

from signer.client import SignerClient
from tests.support.vault_api import Tenant
from tests.support.vault_app import client, make_app
from vault.context import Context
from vault.db import Database
from vault.health.router import router


async def test_healthy(tenant: Tenant, context: Context) -> None:
    answer = await tenant.as_(None).get("/v1/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "healthy", "service": "talon", "version": context.options.version}


async def test_the_hsm_and_its_custody_checks(tenant: Tenant) -> None:
    body = (await tenant.as_(None).get("/v1/health/hsm")).json()
    assert (body["status"], body["connected"]) == ("ok", True)
    assert body["hsm_provider"]
    assert body["custody_checks"]


async def ask(app: FastAPI, path: str) -> dict[str, object]:
    async with client(app) as http:
        answer = await http.get(path)
    assert answer.status_code == 200
    return dict(answer.json())


async def test_without_a_signer(context: Context, tmp_path: Path) -> None:
    signer = SignerClient(str(tmp_path / "nobody.sock"), timeout_s=0.5)
    app = make_app(replace(context, signer=signer), [router])
    assert (await ask(app, "/v1/health"))["status"] == "degraded"
    body = await ask(app, "/v1/health/hsm")
    assert (body["status"], body["connected"]) == ("unavailable", False)
    await signer.close()


async def test_without_a_database(context: Context, tmp_path: Path) -> None:
    database = Database(f"postgresql+psycopg://nobody@/none?host={tmp_path}")
    app = make_app(replace(context, database=database), [router])
    assert (await ask(app, "/v1/health"))["status"] == "degraded"
    await database.close()
