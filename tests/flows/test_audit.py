"""The audit log of a running instance: sealed by its worker, checked by its API and by the verifier."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.instance import Running
from tests.support.pace import patient
from tests.support.world import World, until
from vault.audit.verifier import examine


async def _get(world: World, path: str, **query: Any) -> httpx.Response:
    answer = await world.http.get(path, params=query, headers=world.headers)
    assert answer.status_code == 200, answer.text
    return answer


async def _verified(world: World) -> dict[str, Any]:
    """The whole chain, part by part; every part holds."""
    first, checked, last = 1, 0, {}
    while first:
        last = (await _get(world, "/v1/audit/verify", from_position=first)).json()
        assert last["valid"], last
        first, checked = last.get("next_position"), checked + last["checked"]
    return {**last, "checked": checked}


async def _settled(world: World) -> bool:
    return bool((await _verified(world))["unsealed"] == 0)


async def _put(world: World, path: str, **body: Any) -> str:
    url = f"/v1/vaults/{world.vault_id}/secrets/{path}"
    answer = await world.http.put(url, json={"value": "audited v@lue", **body}, headers=world.headers)
    assert answer.status_code == 201, answer.text
    return url


async def test_what_happens_is_sealed_within_seconds_and_the_auditor_agrees(
    world: World, clients: list[httpx.AsyncClient], tmp_path: Path
) -> None:
    secret = await _put(world, "audit/read")
    reads = [clients[number % len(clients)].get(secret, headers=world.headers) for number in range(120)]
    assert {answer.status_code for answer in await asyncio.gather(*reads)} == {200}
    finished = time.monotonic()
    await until(lambda: _settled(world), 20, "every event sealed")
    assert time.monotonic() - finished < patient(10)
    verified = await _verified(world)
    assert verified["checked"] == verified["sealed_to"]
    head = tmp_path / "head.json"
    export = tmp_path / "export.ndjson"
    export.write_bytes((await _get(world, "/v1/audit/export")).content)
    head.write_bytes((await _get(world, "/v1/audit/verify")).content)
    keys = tmp_path / "keys.json"
    keys.write_bytes((await _get(world, "/v1/audit/keys")).content)
    report = examine([export], [head], [keys])
    assert report.findings.count == 0, list(report.lines())
    assert report.heads >= 1
    page = (await _get(world, "/v1/audit/events", action="secret.read", limit=200)).json()
    assert page["count"] >= 120
    assert all(event["integrity_hash"] for event in page["events"])


async def test_without_its_event_no_value_leaves_and_no_read_is_charged(
    world: World, clients: list[httpx.AsyncClient], database: psycopg.AsyncConnection
) -> None:
    secret = await _put(world, "audit/closed", max_access_count=2)
    await database.execute(
        "CREATE FUNCTION no_audit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no audit today'; END$$"
    )
    await database.execute(
        "CREATE TRIGGER no_audit BEFORE INSERT ON audit_events FOR EACH ROW "
        "WHEN (NEW.action = 'secret.read') EXECUTE FUNCTION no_audit()"
    )
    try:
        refused = await asyncio.gather(*(clients[n % 4].get(secret, headers=world.headers) for n in range(8)))
    finally:
        await database.execute("DROP TRIGGER no_audit ON audit_events")
        await database.execute("DROP FUNCTION no_audit()")
    assert {answer.status_code for answer in refused} == {503}
    assert not any("v@lue" in answer.text for answer in refused)
    answers = [(await world.http.get(secret, headers=world.headers)).status_code for _ in range(3)]
    assert answers == [200, 200, 410]


async def test_the_applications_role_cannot_rewrite_the_log(instance: Running) -> None:
    async with await psycopg.AsyncConnection.connect(instance.owner_dsn, autocommit=True) as owner:
        for table in ("audit_events", "audit_seals", "audit_heads"):
            for right in ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"):
                row = await owner.execute("SELECT has_table_privilege('talon_app', %s, %s)", (table, right))
                assert await row.fetchone() == (False,), (table, right)
            row = await owner.execute("SELECT has_table_privilege('talon_app', %s, 'INSERT')", (table,))
            assert await row.fetchone() == (True,)
        for table in ("signer.audit_heads", "signer.audit_keys"):
            row = await owner.execute("SELECT has_schema_privilege('talon_app', 'signer', 'USAGE')")
            assert await row.fetchone() == (False,), table


@pytest.mark.parametrize("query", ["limit=0", "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z"])
async def test_what_makes_no_sense_is_refused(world: World, query: str) -> None:
    answer = await world.http.get(f"/v1/audit/events?{query}", headers=world.headers)
    assert answer.status_code == 400
