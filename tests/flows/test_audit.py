"""The audit log of a running instance: sealed by its worker, checked by its API and by the verifier."""

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from signer.client import SignerClient
from talon.roles import APP
from tests.support.instance import Running
from tests.support.pace import patient
from tests.support.people import bearer, sign_up
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
            assert await row.fetchone() == (table != "audit_heads",)
        # of everything the signer keeps the application may read what was redeemed, and nobody may change that
        rows = await owner.execute(
            "SELECT c.relname, r.rolname, p.name FROM pg_class c,"
            " (VALUES ('talon_app'), ('talon_signer')) r (rolname),"
            " (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE')) p (name)"
            " WHERE c.relnamespace = 'signer'::regnamespace AND c.relkind = 'r'"
            " AND has_table_privilege(r.rolname, c.oid, p.name)"
        )
        held = await rows.fetchall()
        assert [each for each in held if each[1] == "talon_app"] == [("redemptions", "talon_app", "SELECT")]
        assert {each[2] for each in held if each[:2] == ("redemptions", "talon_signer")} == {"SELECT", "INSERT"}


async def test_a_subverted_api_cannot_poison_a_chain(
    instance: Running, world: World, database: psycopg.AsyncConnection
) -> None:
    """With the application's own role and its way to the signer: no head of its making, and sealing goes on."""
    person = await sign_up(world, database)
    headers = bearer(await person.log_in())

    async def position() -> int:
        row = await database.execute(
            "SELECT max(position) FROM audit_seals WHERE org_id = %s AND integrity_hash <> %s",
            (person.org_id, "ab" * 32),
        )
        found = await row.fetchone()
        return int(found[0] or 0) if found else 0

    async def is_sealed() -> bool:
        waiting = await database.execute("SELECT 1 FROM audit_pending WHERE org_id = %s", (person.org_id,))
        return await waiting.fetchone() is None and await position() > 0

    await until(is_sealed, 60, "the first events sealed")
    signer = SignerClient(str(instance.signer_socket))
    async with await psycopg.AsyncConnection.connect(app_dsn(instance), autocommit=True) as app:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await app.execute(
                "INSERT INTO audit_heads (org_id, position, integrity_hash, kid, signature, signed_at) "
                "VALUES (%s, %s, %s, 'kid', '', now())",
                (person.org_id, 2**62, "ab" * 32),
            )
        before = await position()
        seal = "INSERT INTO audit_seals (org_id, position, event_id, integrity_hash) VALUES (%s, %s, %s, %s)"
        for far in (2**62, 2**63 - 1, before + 2):
            with pytest.raises(psycopg.errors.CheckViolation):
                await app.execute(seal, (person.org_id, far, uuid4(), "ab" * 32))
        # in its place it may add a false one, which `verify` finds
        await app.execute(seal, (person.org_id, before + 1, uuid4(), "ab" * 32))
    told = {"org_id": person.org_id, "position": 2**62, "integrity_hash": "ab" * 32}
    advance = await signer._ask("sign_audit_head", told)
    assert advance["position"] == before
    # whatever happens next is sealed behind it and comes under a head
    assert (await world.http.post("/v1/vaults", json={"name": "after"}, headers=headers)).status_code == 201
    await until(is_sealed, 60, "what happened since sealed")
    after = await position()
    assert after > before + 1
    # the worker may have been faster
    advanced = await signer.sign_audit_head(UUID(person.org_id))
    await signer.close()
    assert advanced.position >= after
    row = await database.execute("SELECT max(position) FROM audit_heads WHERE org_id = %s", (person.org_id,))
    assert await row.fetchone() == (advanced.position,)
    verified = (await world.http.get("/v1/audit/verify", headers=headers)).json()
    assert {(each["kind"], each["position"]) for each in verified["findings"]} == {("missing_event", before + 1)}


def app_dsn(instance: Running) -> str:
    """The instance's database as its API and worker enter it."""
    password = (instance.layout.postgres / f"{APP}.password").read_text().strip()
    return psycopg.conninfo.make_conninfo(instance.owner_dsn, user=APP, password=password)


@pytest.mark.parametrize("query", ["limit=0", "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z"])
async def test_what_makes_no_sense_is_refused(world: World, query: str) -> None:
    answer = await world.http.get(f"/v1/audit/events?{query}", headers=world.headers)
    assert answer.status_code == 400
