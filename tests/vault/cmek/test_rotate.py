"""Rotations of a customer's key over HTTP. "Another process" is a second context on the same database and signer."""

import asyncio
import binascii
import logging
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from tests.support.vault_api import Tenant
from tests.support.world import until
from tests.vault.cmek.support import Key, Vault, headers
from vault.cmek import reencrypt
from vault.cmek.keys import read_keys
from vault.context import Context
from vault.kek.rewrap import rewrap
from vault.vaults import sealed


async def test_every_version_goes_over_to_the_new_key(vault: Vault, context: Context) -> None:
    await vault.tenant.put(await vault.tenant.vault(), "a", "another vault's")
    for number in range(5):
        await vault.put(f"a/{number}", f"text {number}")
    await vault.put("a/0", "newer")
    await vault.put("disabled", "first")
    await vault.put("disabled", "second")
    await vault.http.post(f"{vault.url}/secret-version-disable/disabled/2")
    await vault.put("gone", "deleted")
    await vault.http.delete(f"{vault.url}/secrets/gone")

    job = await vault.started()
    assert (job["old_fingerprint"], job["new_fingerprint"]) == (vault.old.fingerprint, vault.new.fingerprint)
    assert (job["vault_id"], job["total_secrets"], job["processed"]) == (vault.id, 9, 0)
    done = await vault.ended(job["id"])
    assert (done["status"], done["total_secrets"], done["processed"]) == ("completed", 9, 9)
    assert not {"failed", "error"} & set(done)
    assert done["completed_at"].endswith("Z")

    assert set(await vault.fingerprints()) == {vault.new.fingerprint}
    for number in range(1, 5):
        assert vault.new.decrypt(await vault.value(f"a/{number}")) == f"text {number}"
    assert vault.new.decrypt(await vault.value("a/0")) == "newer"
    assert vault.new.decrypt(await vault.value("disabled")) == "first"
    shown = (await vault.http.get(vault.url)).json()
    assert (shown["cmek_enabled"], shown["cmek_fingerprint"]) == (True, vault.new.fingerprint)
    rows = await vault.tenant.audit("vault.rotate_cmek", vault.id)
    assert [(row["actor_type"], row["actor_id"]) for row in rows] == [("user", str(vault.tenant.owner.id))]
    rows = await vault.tenant.audit("vault.rotate_cmek_complete", vault.id)
    assert [(row["actor_type"], row["details"]["processed"]) for row in rows] == [("system", 9)]
    # the same request again, as from a client that saw neither the answer nor the end
    again = await vault.rotate()
    assert (again.status_code, again.json()) == (202, done)


async def test_an_empty_vault(vault: Vault) -> None:
    done = await vault.ended((await vault.started())["id"])
    assert (done["status"], done["total_secrets"], done["processed"]) == ("completed", 0, 0)


async def test_what_cannot_be_decrypted_stays_and_is_counted(vault: Vault) -> None:
    await vault.put("good", "good")
    await vault.put("moved", "moved", vault.new)
    foreign = {
        "go": binascii.hexlify(b"\x02" * 60).decode(),
        "other-key": Key().encrypt("x"),
        "short": "AQ==",
        "text": "not encrypted at all",
    }
    for path, value in foreign.items():
        await vault.tenant.put(vault.id, path, value)
    done = await vault.ended((await vault.started())["id"])
    assert (done["status"], done["total_secrets"], done["processed"], done["failed"]) == ("completed", 6, 2, 4)
    assert "4 value" in done["error"]
    assert vault.new.decrypt(await vault.value("good")) == "good"
    assert vault.new.decrypt(await vault.value("moved")) == "moved"
    for path, value in foreign.items():
        assert await vault.value(path) == value
    by_key = await vault.fingerprints()
    assert (by_key.count(vault.old.fingerprint), by_key.count(vault.new.fingerprint)) == (4, 2)


@pytest.mark.parametrize("broken", ["", "x", "AAAA", "a" * 44, "é", "a" * 200, "==", "QUFB" * 11])
@pytest.mark.parametrize("name", ["X-CMEK-Old-Key", "X-CMEK-New-Key"])
async def test_keys_that_are_none(vault: Vault, name: str, broken: str) -> None:
    answer = await vault.rotate(**{name: broken.encode()})
    assert answer.status_code == 400
    if len(broken) > 3:
        assert broken not in answer.text


async def test_keys_that_are_not_the_ones(vault: Vault) -> None:
    url, good = f"{vault.url}/cmek-rotate", headers(vault.old, vault.new)
    body = {"new_fingerprint": vault.new.fingerprint}
    bad: list[tuple[Any, dict[str, str]]] = [
        (body, headers(Key(), vault.new)),
        (body, headers(vault.old, Key())),
        ({"new_fingerprint": Key().fingerprint}, good),
        ({"new_fingerprint": vault.new.fingerprint.upper()}, good),
        ({"new_fingerprint": vault.old.fingerprint}, headers(vault.old, vault.old)),
        ({}, good),
        (body, {"X-CMEK-Old-Key": vault.old.header}),
        (body, {"X-CMEK-New-Key": vault.new.header}),
    ]
    for json, sent in bad:
        answer = await vault.http.post(url, json=json, headers=sent)
        assert answer.status_code == 400, (json, answer.text)
        assert vault.old.header not in answer.text
    plain = await vault.tenant.vault()
    answer = await vault.http.post(f"/v1/vaults/{plain}/cmek-rotate", json=body, headers=good)
    assert answer.status_code == 400
    assert await vault.tenant.rows("SELECT 1 FROM cmek_rotations WHERE vault_id = :id", id=UUID(vault.id)) == []


async def test_while_it_runs_it_is_the_one_in_every_process(
    vault: Vault, elsewhere: tuple[Context, httpx.AsyncClient], held_up: asyncio.Event
) -> None:
    for number in range(6):
        await vault.put(f"a/{number}", f"text {number}")
    answers = await asyncio.gather(*(vault.started(http) for http in (None, elsewhere[1]) * 4))
    assert len({each["id"] for each in answers}) == 1
    job_id = answers[0]["id"]
    await until(lambda: _processed(vault, job_id, 2), 10, "the first part")
    # seen from both, and no other begins
    assert (await vault.job(job_id, elsewhere[1]))["processed"] == 2
    other = Vault(vault.tenant, vault.id, vault.old, Key())
    assert (await other.rotate()).status_code == 409
    assert (await vault.http.delete(f"{vault.url}/cmek")).status_code == 409
    # a value that comes meanwhile, behind the place that was reached, goes over too, whichever key it is under
    await vault.put("a/00", "during")
    await vault.put("a/000", "during", vault.new)
    held_up.set()
    done = await vault.ended(job_id)
    assert (done["status"], done["processed"], done["total_secrets"]) == ("completed", 8, 8)
    assert set(await vault.fingerprints()) == {vault.new.fingerprint}
    for path in ("a/00", "a/000"):
        assert vault.new.decrypt(await vault.value(path)) == "during"
    assert len(await vault.tenant.audit("vault.rotate_cmek", vault.id)) == 1


async def _processed(vault: Vault, job_id: str, count: int) -> bool:
    return bool((await vault.job(job_id))["processed"] >= count)


async def test_a_process_that_stops_says_so_and_another_goes_on(
    vault: Vault, elsewhere: tuple[Context, httpx.AsyncClient], held_up: asyncio.Event
) -> None:
    for number in range(5):
        await vault.put(f"a/{number}", f"text {number}")
    stopping, http = elsewhere
    job_id = (await vault.started(http))["id"]
    await until(lambda: _processed(vault, job_id, 2), 10, "the first part")
    await stopping.rotations.close()
    assert (await vault.job(job_id))["status"] == "interrupted"
    other = Vault(vault.tenant, vault.id, vault.old, Key())
    assert (await other.rotate()).status_code == 409
    held_up.set()
    resumed = await vault.started()
    assert (resumed["id"], resumed["processed"], resumed["total_secrets"]) == (job_id, 2, 5)
    done = await vault.ended(job_id)
    assert (done["status"], done["processed"], done["total_secrets"]) == ("completed", 5, 5)
    for number in range(5):
        assert vault.new.decrypt(await vault.value(f"a/{number}")) == f"text {number}"


async def test_a_holder_that_went_silent_has_lost_the_job(vault: Vault, held_up: asyncio.Event) -> None:
    for number in range(5):
        await vault.put(f"a/{number}", f"text {number}")
    job_id = (await vault.started())["id"]
    await until(lambda: _processed(vault, job_id, 2), 10, "the first part")
    await vault.set_job("heartbeat_at = now() - interval '14 seconds'")
    assert (await vault.job(job_id))["status"] == "running"
    await vault.set_job("heartbeat_at = now() - interval '16 seconds'")
    assert (await vault.job(job_id))["status"] == "interrupted"
    # it wakes up, and does nothing any more
    held_up.set()
    await asyncio.sleep(0.3)
    shown = await vault.job(job_id)
    assert (shown["status"], shown["processed"]) == ("interrupted", 2)
    assert (await vault.fingerprints()).count(vault.new.fingerprint) == 2
    # its silence is noticed by the repeated request alone, too
    await vault.set_job("status = 'running'")
    await vault.started()
    assert (await vault.ended(job_id))["status"] == "completed"


async def test_an_interrupted_job_whose_keys_are_lost_can_be_given_up(vault: Vault) -> None:
    await vault.put("a", "text")
    job_id = (await vault.started())["id"]
    await vault.ended(job_id)
    await vault.set_job("status = 'interrupted'")
    assert (await vault.http.delete(f"{vault.url}/cmek")).status_code == 200
    shown = await vault.job(job_id)
    assert (shown["status"], "disabled" in shown["error"]) == ("failed", True)
    rows = await vault.tenant.audit("vault.rotate_cmek_failed", vault.id)
    assert [(row["actor_type"], row["details"]["job_id"]) for row in rows] == [("user", job_id)]
    again = await vault.http.post(f"{vault.url}/cmek", json={"fingerprint": Key().fingerprint})
    assert again.status_code == 200


async def test_a_rotation_of_the_vaults_own_key_at_the_same_time(
    vault: Vault, context: Context, held_up: asyncio.Event
) -> None:
    for number in range(6):
        await vault.put(f"a/{number}", f"text {number}")
    job_id = (await vault.started())["id"]
    await until(lambda: _processed(vault, job_id, 2), 10, "the first part")
    rotation = (await vault.http.post(f"{vault.url}/rotate-key")).json()
    held_up.set()
    await asyncio.gather(rewrap(context), vault.ended(job_id))
    await rewrap(context)
    assert (await vault.job(job_id))["status"] == "completed"
    shown = (await vault.http.get(f"{vault.url}/rotate-key/{rotation['id']}")).json()
    assert (shown["status"], shown["failed"]) == ("completed", 0)
    for number in range(6):
        assert vault.new.decrypt(await vault.value(f"a/{number}")) == f"text {number}"


async def test_a_vault_deleted_meanwhile(vault: Vault, held_up: asyncio.Event) -> None:
    for number in range(3):
        await vault.put(f"a/{number}", "text")
    await vault.started()
    assert (await vault.http.delete(vault.url)).status_code == 204
    held_up.set()

    async def failed() -> bool:
        rows = await vault.tenant.rows("SELECT status FROM cmek_rotations WHERE vault_id = :id", id=UUID(vault.id))
        return bool(rows[0]["status"] == "failed")

    await until(failed, 10, "the job's end")
    rows = await vault.tenant.audit("vault.rotate_cmek_failed", vault.id)
    assert [(row["actor_type"], row["details"]["failed"]) for row in rows] == [("system", 0)]


async def test_trouble_with_the_database_is_waited_out(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reencrypt, "PAUSE_S", 0.01)
    count, replace = 0, sealed.replace

    async def sometimes(*args: Any) -> int:
        nonlocal count
        count += 1
        if count % 2:
            raise OSError
        return await replace(*args)

    monkeypatch.setattr(sealed, "replace", sometimes)
    await vault.put("a", "text")
    assert (await vault.ended((await vault.started())["id"]))["status"] == "completed"


async def test_what_goes_wrong_leaves_it_interrupted(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: Any) -> int:
        raise ZeroDivisionError

    await vault.put("a", "text")
    with monkeypatch.context() as patched:
        patched.setattr(sealed, "replace", broken)
        job_id = (await vault.started())["id"]
        assert (await vault.ended(job_id))["status"] == "interrupted"
    assert (await vault.started())["id"] == job_id
    assert (await vault.ended(job_id))["status"] == "completed"


async def test_the_keys_are_nowhere(
    vault: Vault, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    await vault.put("a", "text")
    monkeypatch.setattr(reencrypt, "PAUSE_S", 0.0)
    done = await vault.ended((await vault.started())["id"])
    pair = read_keys(vault.old.header, vault.new.header)
    said = [repr(pair), str(pair), repr(vars(pair)), caplog.text, str(done)]
    for table in ("cmek_rotations", "audit_events", "vaults", "secret_versions"):
        said += [str(row) for row in await vault.tenant.rows(f"SELECT t::text FROM {table} t")]  # noqa: S608
    assert any(vault.new.fingerprint in text for text in said)
    for key in (vault.old, vault.new):
        for form in (key.header, key.header.rstrip("="), key.raw.hex(), repr(key.raw)):
            assert not any(form in text for text in said)


async def test_only_people_who_manage_the_vault(vault: Vault, app: FastAPI) -> None:
    tenant = vault.tenant
    job_id = (await vault.started())["id"]
    agent, member, narrowed = (
        await tenant.agent(),
        await tenant.member(),
        await tenant.member("owner", scopes=("a/*",)),
    )
    await tenant.grant(vault.id, agent, permissions=("read", "write"))
    for who in (agent, member, narrowed):
        assert (await vault.rotate(tenant.as_(who))).status_code == 403
        assert (await tenant.as_(who).get(f"{vault.url}/cmek-rotate/{job_id}")).status_code == 403
    other = await Tenant.found(app)
    http = other.as_(other.owner)
    assert (await vault.rotate(http)).status_code == 404
    assert (await http.get(f"{vault.url}/cmek-rotate/{job_id}")).status_code == 404
    theirs = await other.vault()
    assert (await http.get(f"/v1/vaults/{theirs}/cmek-rotate/{job_id}")).status_code == 404
    await other.close()
    assert (await vault.http.get(f"{vault.url}/cmek-rotate/{uuid4()}")).status_code == 404
    assert (await vault.rotate(tenant.as_(None))).status_code == 401
