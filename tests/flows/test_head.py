"""HEAD is answered wherever GET is, with the same status and no content, and uses nothing up."""

import re
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.instance import Running
from tests.support.world import World


@pytest.fixture(scope="module")
async def filled(world: World) -> dict[str, str]:
    """Values for the path parameters of the published document, of things that exist."""
    agent = await world.agent()
    answer = await world.http.put(
        f"/v1/vaults/{world.vault_id}/secrets/head/a", json={"value": "v"}, headers=world.headers
    )
    assert answer.status_code == 201
    return {"vault_id": world.vault_id, "agent_id": agent.id, "path": "head/a", "version": "1", "identifier": "anvil"}


async def test_every_get_has_its_head(instance: Running, world: World, filled: dict[str, str]) -> None:
    document = (await world.http.get("/openapi.json")).json()
    gets = [path for path, item in document["paths"].items() if "get" in item]
    assert len(gets) > 30
    good = 0
    for template in [*gets, "/openapi.json", "/login", "/metrics"]:
        path = re.sub(r"\{(\w+)\}", lambda name: filled.get(name[1], "0" * 8), template)
        got = await world.http.get(path, headers=world.headers)
        asked = await world.http.head(path, headers=world.headers)
        assert (asked.status_code, asked.content) == (got.status_code, b""), path
        assert asked.headers.get("content-type") == got.headers.get("content-type"), path
        good += got.status_code == 200
    assert good > 20
    assert (await world.http.head(f"/v1/vaults/{world.vault_id}/secrets/head/a")).status_code == 401
    assert (await world.http.head("/v1/nothing-here")).status_code == 404


async def test_a_connection_goes_on_behind_a_head(instance: Running) -> None:
    async with httpx.AsyncClient(base_url=instance.base_url, limits=httpx.Limits(max_connections=1)) as http:
        for _ in range(3):
            assert (await http.head("/v1/health")).content == b""
            assert (await http.get("/v1/health")).json()["service"]


async def test_looking_at_a_limited_secret_takes_none_of_its_reads(
    world: World, database: psycopg.AsyncConnection
) -> None:
    url = f"/v1/vaults/{world.vault_id}/secrets/head/once"

    async def status(method: str, **more: Any) -> int:
        return (await world.http.request(method, url, headers=world.headers, **more)).status_code

    assert await status("PUT", json={"value": "v", "max_access_count": 1}) == 201
    assert [await status("HEAD") for _ in range(5)] == [200] * 5
    found = await database.execute(
        "SELECT count(*) FROM audit_events WHERE action = 'secret.read' AND details->>'path' = 'head/once'"
    )
    assert await found.fetchone() == (0,)
    assert [await status("GET"), await status("GET"), await status("HEAD")] == [200, 410, 410]
