"""What may be stored, and what becomes of it."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.support.vault_api import Tenant
from vault.secrets.types import TYPES

KEY = "0x" + "4c0883a69102937d6231471b5dbb6204fe512961708279feb1be6ae5538da033"


async def test_put_and_get(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/db/main-password"
    value = "pä55\nwörd ✓"
    stored = await http.put(url, json={"value": value, "type": "password", "metadata": {"team": "a"}})
    assert stored.status_code == 201
    made = stored.json()
    assert set(made) == {"id", "path", "type", "version", "metadata", "created_at"}
    assert (made["path"], made["type"], made["version"]) == ("db/main-password", "password", 1)
    assert made["metadata"] == {"team": "a"}

    read = await http.get(url, headers={"Content-Type": "application/json"})
    assert read.status_code == 200
    assert read.headers["cache-control"] == "no-store"
    assert read.json() == {**made, "value": value, "created_by": f"user:{tenant.owner.id}"}

    (written,) = await tenant.audit("secret.write", made["id"])
    (opened,) = await tenant.audit("secret.read", made["id"])
    assert opened["details"] == {"vault_id": vault_id, "path": "db/main-password", "version": 1}
    assert value not in str(written["details"])
    (row,) = await tenant.rows("SELECT * FROM secret_versions WHERE secret_id = :id", id=made["id"])
    assert value.encode() not in bytes(row["sealed"])


async def test_versions_follow_each_other_and_keep_their_type(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    first = await tenant.put(vault_id, "a", "one", secret_type="api_key")
    second = await tenant.put(vault_id, "a", "two")
    assert (first["id"], first["type"]) == (second["id"], second["type"])
    assert (first["version"], second["version"]) == (1, 2)
    assert second["metadata"] == {}
    assert (await tenant.put(vault_id, "b"))["type"] == "generic"
    read = (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/a")).json()
    assert (read["value"], read["version"]) == ("two", 2)


async def test_concurrent_writers_get_consecutive_versions(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    made = await asyncio.gather(*(tenant.put(vault_id, "a", str(number)) for number in range(20)))
    assert sorted(each["version"] for each in made) == list(range(1, 21))
    assert len({each["id"] for each in made}) == 1
    read = (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/a")).json()
    assert read["version"] == 20


@pytest.mark.parametrize("type_", sorted(TYPES))
async def test_every_type_of_the_contract(tenant: Tenant, type_: str) -> None:
    vault_id = await tenant.vault()
    assert (await tenant.put(vault_id, "a", "not a hex key", type=type_))["type"] == type_
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/a")).json()["value"] == "not a hex key"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"value": 7},
        {"value": None},
        {"value": "x", "type": "secret"},
        {"value": "x", "secret_type": "secret"},
        {"value": "x", "type": "note", "secret_type": "file"},
        {"value": "x", "metadata": []},
        {"value": "x", "metadata": {"a": "b" * 70_000}},
        {"value": "x", "max_access_count": -1},
        {"value": "x", "max_access_count": 1.5},
        {"value": "x", "max_access_count": True},
        {"value": "x", "max_access_count": "3"},
        {"value": "x", "max_access_count": 2**31},
        {"value": "x", "expires_at": "soon"},
        {"value": "x", "expires_at": 1},
        {"value": "a\x00b"},
        {"value": "x", "metadata": {"a": "\x00"}},
    ],
)
async def test_bad_bodies_store_nothing(tenant: Tenant, body: dict[str, Any]) -> None:
    vault_id = await tenant.vault()
    answer = await tenant.as_(tenant.owner).put(f"/v1/vaults/{vault_id}/secrets/a", json=body)
    assert answer.status_code == 400, answer.text
    assert isinstance(answer.json()["detail"], str)
    assert await tenant.rows("SELECT 1 FROM secrets WHERE vault_id = :id", id=vault_id) == []


async def test_a_refused_body_is_not_quoted_back(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    body = {"value": KEY, "type": "unheard-of"}
    answer = await tenant.as_(tenant.owner).put(f"/v1/vaults/{vault_id}/secrets/a", json=body)
    assert answer.status_code == 400
    assert KEY[10:40] not in answer.text


async def test_large_values_come_back_whole(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    value = "x" * (4 * 1024 * 1024)
    await tenant.put(vault_id, "big", value, type="file")
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/big")).json()["value"] == value


async def test_an_empty_value_is_a_value(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "empty", "")
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/empty")).json()["value"] == ""


async def test_unknown_vaults_and_no_credential(tenant: Tenant) -> None:
    url = f"/v1/vaults/{uuid4()}/secrets/a"
    assert (await tenant.as_(tenant.owner).put(url, json={"value": "x"})).status_code == 404
    assert (await tenant.as_(None).get(url)).status_code == 401
    assert (await tenant.as_(tenant.owner).get("/v1/vaults/not-an-id/secrets/a")).status_code == 400
