"""GET /v1/audit/events: who sees what, every filter, paging, and what a page costs."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.vault.audit.conftest import Log
from vault.audit.events import page_of
from vault.audit.models import AuditEvent
from vault.audit.schemas import Filter
from vault.schemas import Page, format_time

MANY = 50_000


async def _ask(log: Log, who: Any, status: int = 200, path: str = "/v1/audit/events", **query: Any) -> Any:
    answer = await log.tenant.as_(who).get(path, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_page_is_newest_first_and_shows_seals_once_there_are_any(log: Log) -> None:
    await log.write(3)
    page = await _ask(log, log.tenant.owner)
    assert page["count"] == 3
    assert [each["resource_id"] for each in page["events"]] == ["thing 2", "thing 1", "thing 0"]
    first = page["events"][-1]
    assert set(first) == {
        *("id", "org_id", "actor_type", "actor_id", "action", "resource_type", "resource_id", "details"),
        *("created_at", "prev_event_id", "integrity_hash"),
    }
    assert (first["prev_event_id"], first["integrity_hash"]) == (None, None)
    await log.seal()
    sealed = (await _ask(log, log.tenant.owner, path="/v1/audit"))["events"]
    assert [each["prev_event_id"] for each in sealed] == [sealed[1]["id"], sealed[2]["id"], None]
    assert all(len(each["integrity_hash"]) == 64 for each in sealed)


async def test_owners_and_admins_see_all_the_others_what_they_did(log: Log) -> None:
    tenant = log.tenant
    admin, member, agent = await tenant.member("admin"), await tenant.member(), await tenant.agent()
    narrow = await tenant.member("admin", scopes=("app/*",))
    for who, kind in ((tenant.owner, "user"), (admin, "user"), (member, "user"), (agent, "agent"), (narrow, "user")):
        await log.write(actor_type=kind, actor_id=str(who.id))
    await log.write(actor_id=str(tenant.owner.id), resource_type="agent", resource_id=str(agent.id))
    for who in (tenant.owner, admin):
        assert (await _ask(log, who))["count"] == 6
    for own in (member, agent, narrow):
        for query in ({}, {"actor_id": str(own.id)}, {"action": "secret.read"}):
            page = await _ask(log, own, **query)
            assert [each["actor_id"] for each in page["events"]] == [str(own.id)]
        assert (await _ask(log, own, actor_id=str(tenant.owner.id)))["count"] == 0
        for path in ("verify", "export", "keys"):
            await _ask(log, own, 403, f"/v1/audit/{path}")
    await _ask(log, None, 401)
    # by or about an agent, for whoever oversees it
    assert (await _ask(log, admin, agent_id=str(agent.id)))["count"] == 2
    assert (await _ask(log, agent, agent_id=str(agent.id)))["count"] == 1


async def test_nobody_sees_another_organisation(log: Log, app: Any) -> None:
    other = await type(log.tenant).found(app)
    await log.write(2)
    newest = (await _ask(log, log.tenant.owner))["events"][0]["id"]
    log.tenant.clients.append(other.as_(other.owner))
    assert (await _ask(log, other.owner, actor_id="somebody"))["count"] == 0
    await _ask(log, other.owner, 404, before=newest)
    await _ask(log, other.owner, 404, before=str(uuid4()))
    await other.close()


async def test_every_filter_and_any_depth_of_paging(log: Log) -> None:
    owner = log.tenant.owner
    await log.write(4)
    await log.write(3, action="vault.create", actor_type="agent", actor_id="robot", resource_id="one")
    rows = await log.rows("SELECT created_at FROM audit_events WHERE org_id = :org ORDER BY sequence")
    times = [format_time(row["created_at"]) for row in rows]
    for query, count in (
        ({"action": "vault.create"}, 3),
        ({"actor_id": "robot"}, 3),
        ({"actor_type": "user"}, 4),
        ({"resource_id": "thing 1"}, 1),
        ({"resource_id": "one", "action": "secret.read"}, 0),
        ({"from": times[2]}, 5),
        ({"to": times[2]}, 3),
        ({"from": times[1], "to": times[4], "actor_type": "agent"}, 1),
        ({"from": times[3], "to": times[3]}, 1),
    ):
        assert (await _ask(log, owner, **query))["count"] == count, query
    whole = [each["id"] for each in (await _ask(log, owner))["events"]]
    by_offset = [(await _ask(log, owner, limit=1, offset=at))["events"][0]["id"] for at in range(7)]
    assert by_offset == whole
    found: list[str] = []
    while page := (await _ask(log, owner, limit=2, **({"before": found[-1]} if found else {})))["events"]:
        found += [each["id"] for each in page]
    assert found == whole


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"from": "yesterday"},
        {"from": "2026-01-01T00:00:00"},
        {"limit": 0},
        {"limit": 201},
        {"limit": -1},
        {"offset": -1},
        {"offset": 10**9},
        {"agent_id": "robot"},
        {"before": "1"},
        {"actor_id": ""},
        {"actor_id": "x" * 300},
        {"action": "a\0b"},
    ],
)
async def test_what_makes_no_sense_is_refused(log: Log, query: dict[str, Any]) -> None:
    await _ask(log, log.tenant.owner, 400, **query)


@pytest.mark.parametrize(("path", "query"), [("verify", {"from_position": 0}), ("export", {"limit": 50_001})])
async def test_a_part_is_bounded(log: Log, path: str, query: dict[str, Any]) -> None:
    await _ask(log, log.tenant.owner, 400, f"/v1/audit/{path}", **query)


async def test_a_page_costs_the_same_whatever_the_filter_and_the_size_of_the_log(log: Log) -> None:
    """50,000 events; no plan reads a table from end to end or sorts more than a page, none touches many blocks."""
    agent = uuid4()
    async with log.context.database.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO audit_events (id, org_id, actor_type, actor_id, action, resource_type, resource_id, "
                "details, created_at) SELECT gen_random_uuid(), :org, "
                "CASE WHEN n % 1000 = 0 THEN 'system' ELSE 'agent' END, "
                "CASE WHEN n % 500 = 1 THEN CAST(:agent AS text) ELSE 'actor ' || n % 50 END, 'action.' || n % 10, "
                "'secret', CASE WHEN n % 700 = 2 THEN CAST(:agent AS text) ELSE 'thing ' || n % 1000 END, '{}', "
                "now() - interval '1 second' * (:many - n) FROM generate_series(1, :many) n"
            ),
            {"org": log.org_id, "agent": str(agent), "many": MANY},
        )
    async with log.context.database.statements() as connection:
        await connection.execute(text("VACUUM ANALYZE audit_events"))
    newest = (await log.rows("SELECT max(created_at) AS at FROM audit_events WHERE org_id = :org"))[0]["at"]
    middle, hour = newest - timedelta(seconds=MANY // 2), timedelta(hours=1)
    for wanted in (
        Filter({}),
        Filter({"action": "action.3"}),
        Filter({"actor_id": "actor 7"}),
        Filter({"actor_type": "system"}),
        Filter({"resource_id": "thing 70"}),
        Filter({"actor_id": "nobody"}),
        Filter({}, agent_id=agent),
        Filter({}, until=middle),
        Filter({"action": "action.3"}, since=middle - hour, until=middle),
        Filter({"actor_id": "actor 7"}, since=newest + hour),
    ):
        plan = await _plan(log, wanted)
        assert not plan["scans"] & {"Seq Scan", "Bitmap Heap Scan"}, (wanted, plan)
        assert plan["sorted"] <= 200, (wanted, plan)
        # a hundred events and the look-up of a hundred seals, each a few blocks
        assert plan["blocks"] < 1_000, (wanted, plan)


async def _plan(log: Log, wanted: Filter) -> dict[str, Any]:
    columns = AuditEvent.__table__.c
    conditions = [columns.org_id == log.org_id, *(columns[name] == value for name, value in wanted.columns.items())]
    conditions += [columns.created_at >= wanted.since] if wanted.since else []
    conditions += [columns.created_at <= wanted.until] if wanted.until else []
    async with log.context.database.statements() as connection:
        compiled = page_of(conditions, wanted, Page(100, 0)).compile(
            connection.engine.sync_engine, compile_kwargs={"literal_binds": True}
        )
        sql = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {compiled}"
        (answer,) = (await connection.exec_driver_sql(sql.replace("%", "%%"))).one()
    found: dict[str, Any] = {"scans": set(), "sorted": 0}
    tree = answer if isinstance(answer, list) else json.loads(answer)
    found["blocks"] = tree[0]["Plan"]["Shared Hit Blocks"] + tree[0]["Plan"]["Shared Read Blocks"]
    nodes = [tree[0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Relation Name") == "audit_events":
            found["scans"].add(node["Node Type"])
        if "Sort" in node["Node Type"]:
            found["sorted"] = max(found["sorted"], *(below["Actual Rows"] for below in node["Plans"]))
    return found
