"""All or nothing: a value never leaves without its audit row, and a part that is down leaves nothing behind."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI

from signer.client import SignerClient
from tests.support.vault_api import Tenant
from tests.support.vault_app import make_app
from vault.context import Context
from vault.secrets.router import router as secrets
from vault.vaults.router import router as vaults


@pytest.fixture
async def without_signer(context: Context, tmp_path: Path) -> AsyncIterator[FastAPI]:
    signer = SignerClient(str(tmp_path / "nobody.sock"), timeout_s=0.5)
    yield make_app(replace(context, signer=signer), (vaults, secrets))
    await signer.close()


async def test_no_audit_row_no_value(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "a", "the value", max_access_count=1)
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/a"
    function = f"refuse_{made['id'].replace('-', '_')}"
    async with tenant.database.engine.begin() as connection:
        await connection.exec_driver_sql(
            f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'the audit is closed'; END $$"
        )
        await connection.exec_driver_sql(
            f"CREATE TRIGGER {function} BEFORE INSERT ON audit_events FOR EACH ROW"
            f" WHEN (NEW.resource_id = '{made['id']}') EXECUTE FUNCTION {function}()"
        )
    try:
        answer = await http.get(url)
        assert answer.status_code == 503
        assert "the value" not in answer.text
        assert (await http.put(url, json={"value": "newer"})).status_code == 503
        assert (await http.delete(url)).status_code == 503
    finally:
        async with tenant.database.engine.begin() as connection:
            await connection.exec_driver_sql(f"DROP FUNCTION {function} CASCADE")
    # nothing was written or deleted, and the one read was not charged
    assert (await http.get(url)).json()["value"] == "the value"
    assert (await http.get(url)).status_code == 410


async def test_without_a_signer_nothing_is_half_done(tenant: Tenant, without_signer: FastAPI) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a", "x", max_access_count=1)
    working, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    tenant.app = without_signer
    http = tenant.as_(tenant.owner)
    for answer in (
        await http.get(f"{url}/secrets/a"),
        await http.put(f"{url}/secrets/a", json={"value": "y"}),
        await http.put(f"{url}/secrets/k", json={"value": "11" * 32, "type": "private_key"}),
        await http.post(f"{url}/secret-generate/k"),
        await http.post("/v1/vaults", json={"name": "never"}),
    ):
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) > 0
        assert "11" * 32 not in answer.text
    assert (await working.get(f"{url}/secrets/k")).status_code == 404
    assert [each["id"] for each in (await working.get("/v1/vaults")).json()["vaults"]] == [vault_id]
    read = (await working.get(f"{url}/secrets/a")).json()
    assert (read["value"], read["version"]) == ("x", 1)
