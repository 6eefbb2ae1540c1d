"""Each way to falsify the log by SQL is found by the server and by the offline verifier."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from talon.bootstrap import ROOT
from tests.support.postgres import Postgres
from tests.vault.audit.conftest import Log
from vault.audit.sequence import seal_pending
from vault.audit.verifier import Report, examine

# written into the statements below by `sql`
PARTS = {
    "FIFTH": "(SELECT event_id FROM audit_seals WHERE org_id = :org AND position = 5)",
    "SIXTH": "(SELECT event_id FROM audit_seals WHERE org_id = :org AND position = 6)",
    "TAIL": "(SELECT event_id FROM audit_seals WHERE org_id = :org AND position > 8)",
}
CUT_EVENTS = "DELETE FROM audit_events WHERE id IN TAIL"
CUT_SEALS = "DELETE FROM audit_seals WHERE org_id = :org AND position > 8"
CUT_HEADS = "DELETE FROM audit_heads WHERE org_id = :org AND position > 8"
# exchanged through a position that nobody has: they are unique
EXCHANGE = [
    "UPDATE audit_seals SET position = -1 WHERE org_id = :org AND position = 5",
    "UPDATE audit_seals SET position = 5 WHERE org_id = :org AND position = 6",
    "UPDATE audit_seals SET position = 6 WHERE org_id = :org AND position = -1",
]


async def falsify(log: Log, *statements: str) -> None:
    """What somebody with all rights in the database does."""
    for each in statements:
        statement = each
        for name, part in PARTS.items():
            statement = statement.replace(name, part)
        await log.tamper(statement)


def _kinds(report: Report) -> set[str]:
    return {each.kind for each in report.findings.listed}


@pytest.mark.parametrize(
    ("statements", "kinds"),
    [
        (["UPDATE audit_events SET details = details || '{\"n\": 5}' WHERE id = FIFTH"], {"altered"}),
        (["UPDATE audit_events SET details = '{}' WHERE id = FIFTH"], {"altered"}),
        (["UPDATE audit_events SET actor_id = 'somebody else' WHERE id = FIFTH"], {"altered"}),
        (["UPDATE audit_events SET actor_type = 'agent' WHERE id = FIFTH"], {"altered"}),
        (["UPDATE audit_events SET action = 'secret.list' WHERE id = FIFTH"], {"altered"}),
        (
            ["UPDATE audit_events SET resource_id = resource_type, resource_type = resource_id WHERE id = FIFTH"],
            {"altered"},
        ),
        (["UPDATE audit_events SET ip_address = '192.0.2.1' WHERE id = FIFTH"], {"altered"}),
        (
            ["UPDATE audit_events SET created_at = created_at + interval '1 microsecond' WHERE id = FIFTH"],
            {"altered"},
        ),
        (["DELETE FROM audit_events WHERE id = FIFTH"], {"missing_event"}),
        (
            [
                "DELETE FROM audit_events WHERE id = FIFTH",
                "DELETE FROM audit_seals WHERE org_id = :org AND position = 5",
            ],
            {"missing_seal"},
        ),
        # two events exchange what they say
        (
            [
                "UPDATE audit_events one SET resource_id = two.resource_id, details = two.details "
                "FROM audit_events two WHERE one.id IN (FIFTH, SIXTH) AND two.id IN (FIFTH, SIXTH) "
                "AND one.id <> two.id"
            ],
            {"altered"},
        ),
        # two seals exchange their places
        (EXCHANGE, {"altered"}),
        (["UPDATE audit_seals SET prev_event_id = event_id WHERE org_id = :org AND position = 5"], {"wrong_link"}),
        (["UPDATE audit_seals SET integrity_hash = repeat('0', 64) WHERE org_id = :org AND position = 12"], None),
        (["UPDATE audit_events SET created_at = 'infinity' WHERE id = FIFTH"], {"altered"}),
        (["UPDATE audit_heads SET signed_at = '-infinity' WHERE org_id = :org"], {"forged_head"}),
        ([CUT_EVENTS, CUT_SEALS], {"truncated"}),
        ([CUT_EVENTS, CUT_SEALS, CUT_HEADS], {"truncated"}),
        (["UPDATE audit_heads SET signed_at = signed_at + interval '1 h' WHERE org_id = :org"], {"forged_head"}),
        (
            [
                "UPDATE audit_heads SET signature = set_byte(signature, 3, get_byte(signature, 3) # 1) "
                "WHERE org_id = :org"
            ],
            {"forged_head"},
        ),
        (["UPDATE audit_heads SET kid = 'abcd' WHERE org_id = :org"], {"unknown_key"}),
        (
            [
                "INSERT INTO audit_events (id, org_id, actor_type, actor_id, action, resource_type, resource_id, "
                "details, created_at) SELECT gen_random_uuid(), :org, 'user', 'x', 'a.b', 'x', 'x', '{}', "
                "now() - interval '1 h'"
            ],
            {"unsealed"},
        ),
    ],
    ids=lambda value: None if not isinstance(value, list) else value[0][:60],
)
async def test_every_falsification_is_found(log: Log, statements: list[str], kinds: set[str] | None) -> None:
    await log.grow(8)
    await log.grow(4)
    assert (await log.verify())["valid"] is True
    assert _kinds(await log.audit()) == set()
    # the export's own event is sealed too, so that nothing new hides what follows
    await log.seal()
    await falsify(log, *statements)
    found = await log.verify()
    assert found["valid"] is False
    report = await log.audit()
    if kinds is not None:
        assert {each["kind"] for each in found["findings"]} >= kinds, found
        assert _kinds(report) >= kinds, report
    assert report.findings.count > 0


async def test_a_chain_rewritten_from_the_middle_contradicts_the_signed_heads(log: Log) -> None:
    await log.grow(8)
    await log.grow(4)
    # the newest four events never were, others take their place, and the sequencer itself seals them
    await falsify(log, CUT_EVENTS, CUT_SEALS)
    await log.write(4, actor_id="somebody else")
    await log.seal(head=False)
    kinds = {each["kind"] for each in (await log.verify())["findings"]}
    assert kinds == {"rolled_back"}
    assert _kinds(await log.audit()) == {"rolled_back"}


async def test_a_roll_back_of_the_whole_database_is_found_with_a_head_that_was_kept(
    log: Log, postgres: Postgres
) -> None:
    await log.grow(8)
    await log.grow(4)
    kept = log.directory / "kept.json"
    kept.write_text(json.dumps(await log.verify()))
    whole = await log.export()
    # as if an older backup had been put back: the signer's own record is as old as the rest
    await falsify(log, CUT_EVENTS, CUT_SEALS, CUT_HEADS, "DELETE FROM audit_pending WHERE org_id = :org")
    with psycopg.connect(postgres.url("vault").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DELETE FROM signer.audit_heads WHERE org_id = %s", (log.org_id,))
    assert (await log.verify())["valid"] is True
    for memory in (kept, whole):
        assert _kinds(await log.audit(memory)) == {"truncated"}
    # and when the chain has grown beyond it again
    await log.grow(6)
    assert (await log.verify())["valid"] is True
    for memory in (kept, whole):
        assert _kinds(await log.audit(memory)) == {"rolled_back"}


async def test_an_event_that_was_kept_from_the_sequencer_is_reported(log: Log) -> None:
    await log.grow(3)
    await log.write(2)
    await log.tamper(
        "DELETE FROM audit_pending WHERE org_id = :org",
        "UPDATE audit_events SET created_at = created_at - interval '2 minutes' WHERE org_id = :org "
        "AND NOT EXISTS (SELECT 1 FROM audit_seals WHERE event_id = id)",
    )
    await seal_pending(log.context.database)
    found = await log.verify()
    assert [each["kind"] for each in found["findings"]] == ["unsealed"] * 2
    assert _kinds(await log.audit()) == {"unsealed"}


async def test_an_event_deleted_before_its_seal_is_reported_and_holds_up_nobody(log: Log) -> None:
    await log.grow(3)
    await log.write(2)
    await log.tamper(
        "DELETE FROM audit_events WHERE id = (SELECT event_id FROM audit_pending WHERE org_id = :org "
        "ORDER BY sequence LIMIT 1)"
    )
    await log.seal()
    found = await log.verify()
    assert [each["kind"] for each in found["findings"]] == ["missing_event"]
    assert (found["sealed_to"], found["unsealed"]) == (4, 1)


def _edited(path: Path, change: Any) -> Path:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    other = path.with_name("edited.ndjson")
    other.write_text("".join(json.dumps(line) + "\n" for line in change(lines)))
    return other


def _forge_key(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for line in lines:
        if line["type"] == "key":
            line["public_key_base64"] = base64.b64encode(bytes(32)).decode()
    return lines


def _without_the_beginning(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    third = next(line for line in lines if line["type"] == "event" and line["position"] == 3)
    previous = {name: third[name] for name in ("position", "event_id", "prev_event_id", "integrity_hash")}
    later = [line for line in lines[1:] if line["type"] != "event" or line["position"] > 3]
    return [{**lines[0], "previous": previous}, *later]


def _elsewhere_and_short(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [line for line in lines[1:] if line["type"] in ("key", "end") or line.get("position") in (1, 2)]
    return [{**lines[0], "from_position": 10**9}, *kept]


def _nan(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines[3]["details"] = {"n": float("nan")}
    return lines


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda lines: lines, None),
        (lambda lines: lines[:-1], "malformed"),
        (lambda lines: lines[1:], "malformed"),
        (
            lambda lines: [line for line in lines if line.get("position") != 4 or line["type"] != "event"],
            "missing_seal",
        ),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "reordered"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "reordered"),
        (lambda lines: [line if line["type"] != "event" else {**line, "id": 7} for line in lines], "malformed"),
        (lambda lines: [line for line in lines if line["type"] not in ("event",)], "truncated"),
        (_forge_key, "forged_head"),
        (_without_the_beginning, "malformed"),
        (_elsewhere_and_short, "malformed"),
        (_nan, "altered"),
        (lambda lines: [line for line in lines if line["type"] != "key"], "unknown_key"),
    ],
)
async def test_an_export_changed_on_its_way_is_found(log: Log, change: Any, kind: str | None) -> None:
    await log.grow(5)
    report = examine([_edited(await log.export(), change)])
    assert (kind is None) == (report.findings.count == 0), report
    if kind is not None:
        assert kind in _kinds(report), report


async def test_no_claim_about_its_beginning_keeps_an_export_from_a_head_that_was_kept(log: Log) -> None:
    await log.grow(6)
    kept = await log.export()
    report = examine([_edited(await log.export(), _elsewhere_and_short)], [kept])
    assert _kinds(report) == {"malformed", "truncated"}


async def test_parts_make_one_chain_and_kept_keys_are_believed_before_the_exports(log: Log) -> None:
    await log.grow(7)
    parts = [await log.export(from_position=first, limit=3) for first in (1, 4, 7)]
    report = examine(parts)
    assert (report.findings.count, report.checked, report.last) == (0, 7, 7)
    assert _kinds(examine(parts[:2])) == {"incomplete", "truncated"}
    assert examine(parts[:2], partial=True).findings.count == 0
    assert examine(parts[1:]).findings.count == 0
    assert _kinds(examine([parts[0], parts[2]])) >= {"rolled_back", "missing_seal"}
    keys = log.directory / "keys.json"
    answer = await log.tenant.as_(log.tenant.owner).get("/v1/audit/keys")
    keys.write_text(answer.text)
    assert examine(parts, pinned=[keys]).findings.count == 0
    assert "wrong_key" in _kinds(examine([_edited(parts[0], _forge_key), *parts[1:]], pinned=[keys]))
    other = answer.json()
    other["keys"][0]["kid"] = "another"
    keys.write_text(json.dumps(other))
    assert _kinds(examine(parts, pinned=[keys])) == {"unknown_key"}


async def test_the_command_says_what_it_found_and_ends_accordingly(log: Log) -> None:
    await log.grow(3)
    whole = await log.export()

    def run(*arguments: str | Path) -> tuple[int, str]:
        command = [sys.executable, "-m", "vault.audit.verifier", *arguments]
        done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    status, said = run(whole)
    assert status == 0
    assert "3 events, positions 1 to 3" in said
    status, said = run(_edited(whole, _nan), "--json")
    assert status == 1
    assert json.loads(said)["valid"] is False
    status, said = run(_edited(whole, lambda lines: [*lines[:2], *lines[3:]]))
    assert status == 1
    assert "missing_seal at position 3" in said
    assert run(log.directory / "nowhere")[0] == 2


@pytest.mark.parametrize("option", ["kept", "pinned"])
async def test_a_file_with_nothing_to_compare_is_no_comparison(log: Log, option: str) -> None:
    await log.grow(3)
    empty = log.directory / "answer.json"
    empty.write_text(json.dumps({"valid": True, "checked": 3, "findings": []}))
    whole = await log.export()
    assert _kinds(examine([whole], **{option: [empty]})) == {"malformed"}
    assert examine([whole], **{option: [whole]}).findings.count == 0


def test_nothing_of_the_server_comes_with_the_verifier() -> None:
    script = "import sys, vault.audit.verifier; print({'fastapi', 'sqlalchemy', 'pkcs11'} & set(sys.modules))"
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert loaded.stdout == "set()\n", loaded.stderr
