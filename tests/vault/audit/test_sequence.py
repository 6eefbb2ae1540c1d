"""The sequencer under many writers, beside a second one, and how fast it is."""

import asyncio
import time
from uuid import uuid4

from sqlalchemy import text

from tests.support.report import LINES
from tests.support.world import SOAK
from tests.vault.audit.conftest import Log
from vault.audit.heads import sign_heads
from vault.audit.sequence import seal_pending

WRITERS, EACH = (60, 100) if SOAK else (24, 25)
MANY = 100_000 if SOAK else 10_000


async def test_with_many_writers_and_two_sequencers_every_event_has_one_place(log: Log) -> None:
    done = asyncio.Event()

    async def sequencer() -> None:
        while not done.is_set():
            await seal_pending(log.context.database)
            await asyncio.sleep(0.01)

    sequencers = [asyncio.create_task(sequencer()) for _ in range(2)]
    await asyncio.gather(*(log.write(EACH, actor_id=f"writer {number}") for number in range(WRITERS)))
    done.set()
    await asyncio.gather(*sequencers)
    await log.seal()
    (counted,) = await log.rows(
        "SELECT (SELECT count(*) FROM audit_events WHERE org_id = :org) AS events, count(*) AS seals, "
        "count(DISTINCT event_id) AS sealed, min(position) AS first, max(position) AS last, "
        "(SELECT count(*) FROM audit_pending WHERE org_id = :org) AS waiting FROM audit_seals WHERE org_id = :org"
    )
    total = WRITERS * EACH
    assert dict(counted) == {
        **dict.fromkeys(("events", "seals", "sealed", "last"), total),
        "first": 1,
        "waiting": 0,
    }
    verified = await log.verify()
    assert (verified["valid"], verified["checked"], verified["unsealed"]) == (True, total, 0)
    assert (await log.audit()).findings.count == 0


async def test_an_event_that_is_in_the_queue_again_keeps_its_place(log: Log) -> None:
    await log.grow(3)
    await log.tamper(
        "INSERT INTO audit_pending SELECT id, sequence, gen_random_uuid() FROM audit_events WHERE org_id = :org"
    )
    await log.write(2)
    await log.seal()
    verified = await log.verify()
    assert (verified["valid"], verified["checked"], verified["sealed_to"]) == (True, 5, 5)
    assert await log.rows("SELECT 1 FROM audit_pending WHERE org_id = :org") == []


async def test_a_long_chain_is_verified_in_parts(log: Log) -> None:
    await log.grow(12)
    checked, first = 0, 1
    while first:
        part = await log.verify(from_position=first, limit=5)
        assert (part["valid"], part["sealed_to"]) == (True, 12)
        checked, first = checked + part["checked"], part.get("next_position")
    assert checked == 12
    beyond = await log.verify(from_position=2**62)
    assert (beyond["checked"], "next_position" in beyond) == (0, False)


async def test_heads_of_all_chains_that_grew_are_signed_once(log: Log) -> None:
    database, signer = log.context.database, log.context.signer
    await seal_pending(database)
    await sign_heads(database, signer)
    assert await sign_heads(database, signer) == 0
    await log.write(3)
    await log.seal(head=False)
    assert await sign_heads(database, signer) == 1
    head = (await log.verify())["head"]
    assert (head["position"], head["org_id"]) == (3, str(log.org_id))


async def test_the_sequencer_keeps_up_with_more_than_anybody_writes(log: Log) -> None:
    organisations = [str(uuid4()) for _ in range(10)]
    async with log.context.database.begin() as connection:
        await connection.execute(
            text(
                "WITH written AS (INSERT INTO audit_events (id, org_id, actor_type, actor_id, action, resource_type, "
                "resource_id, details) SELECT gen_random_uuid(), CAST((CAST(:orgs AS text[]))[1 + n % 10] AS uuid), "
                "'agent', 'a', 'secret.read', 'secret', 'r', jsonb_build_object('path', 'app/key', 'n', n) "
                "FROM generate_series(1, :many) n RETURNING id, sequence, org_id) "
                "INSERT INTO audit_pending (event_id, sequence, org_id) SELECT * FROM written"
            ),
            {"orgs": organisations, "many": MANY},
        )
    began = time.perf_counter()
    sealed = 0
    while more := await seal_pending(log.context.database):
        sealed += more
    rate = sealed / (time.perf_counter() - began)
    LINES.append(f"audit: {rate:,.0f} events sealed a second")
    assert sealed >= MANY
    assert rate > 500
