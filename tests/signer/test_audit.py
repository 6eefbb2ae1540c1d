"""Heads of audit chains: the signer signs what it has read and recomputed itself, and nothing it is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from sqlalchemy import Table

from signer.audit import BATCH
from signer.audit_chain import Event, Seal, microseconds, seal
from signer.audit_message import head_message
from signer.client import SignerClient
from signer.errors import AuditHeadRefused
from tests.support.hsm import Hsm
from vault.audit.models import AuditEvent, AuditHead, AuditSeal
from vault.db import Base

TABLES = [cast(Table, each.__table__) for each in (AuditEvent, AuditSeal, AuditHead)]


@dataclass
class Chain:
    """One organisation's log in the signer's database, written as the application writes it."""

    connection: psycopg.AsyncConnection[dict[str, Any]]
    org_id: UUID = field(default_factory=uuid4)
    last: Seal | None = None

    async def grow(self, count: int, **false: Any) -> None:
        """So many sealed events; `false` are columns in which their seals lie."""
        events: list[Any] = []
        for number in range(count):
            about = Jsonb({"n": number, "é": [1.5, None, 10**30]})
            row = await self.connection.execute(
                "INSERT INTO audit_events (id, org_id, actor_type, actor_id, action, resource_type, resource_id, "
                "details) VALUES (%s, %s, 'user', 'somebody', 'secret.read', 'secret', 'thing', %s) RETURNING *",
                (uuid4(), self.org_id, about),
            )
            events.append(await row.fetchone())
        for columns in events:
            self.last = replace(seal(Event(**columns), self.last), **false)
            await self.connection.execute(
                "INSERT INTO audit_seals (org_id, position, event_id, prev_event_id, integrity_hash) "
                "VALUES (%(org)s, %(position)s, %(event_id)s, %(prev_event_id)s, %(integrity_hash)s)",
                {"org": self.org_id, **vars(self.last)},
            )

    async def run(self, sql: str) -> None:
        """What the tables' owner does; `%s` is the organisation."""
        await self.connection.execute(sql, (self.org_id,))

    async def heads(self) -> list[dict[str, Any]]:
        """The heads that are kept, oldest first."""
        found = await self.connection.execute(
            "SELECT * FROM audit_heads WHERE org_id = %s ORDER BY position", (self.org_id,)
        )
        return await found.fetchall()

    async def positions(self) -> list[int]:
        return [head["position"] for head in await self.heads()]


async def opened(hsm: Hsm) -> psycopg.AsyncConnection[dict[str, Any]]:
    engine = sqlalchemy.create_engine(hsm.database_url)
    Base.metadata.create_all(engine, TABLES)
    engine.dispose()
    dsn = hsm.database_url.replace("+psycopg", "")
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row)


@pytest.fixture
async def chain(shared_hsm: Hsm) -> AsyncIterator[Chain]:
    async with await opened(shared_hsm) as connection:
        yield Chain(connection)


async def test_a_head_is_signed_by_a_key_that_signs_nothing_else(signer: SignerClient, chain: Chain) -> None:
    await chain.grow(7)
    assert await signer.audit_head(chain.org_id) is None
    advance = await signer.sign_audit_head(chain.org_id)
    assert (advance.position, advance.is_more, advance.faults) == (7, False, 0)
    (head,) = await chain.heads()
    assert chain.last is not None
    assert (head["position"], head["integrity_hash"]) == (7, chain.last.integrity_hash)
    assert abs((datetime.now(UTC) - head["signed_at"]).total_seconds()) < 600
    (key,) = await signer.audit_keys()
    assert (key.kid, key.retired) == (head["kid"], False)
    assert key.public_key not in {each.public_key for each in await signer.jwt_keys()}
    public, hash_ = Ed25519PublicKey.from_public_bytes(key.public_key), head["integrity_hash"]
    signed_at_us = microseconds(head["signed_at"])
    public.verify(head["signature"], head_message(chain.org_id, 7, hash_, signed_at_us))
    for other in (
        head_message(uuid4(), 7, hash_, signed_at_us),
        head_message(chain.org_id, 8, hash_, signed_at_us),
        head_message(chain.org_id, 7, "ab" * 32, signed_at_us),
        head_message(chain.org_id, 7, hash_, signed_at_us + 1),
    ):
        with pytest.raises(InvalidSignature):
            public.verify(head["signature"], other)
    # nothing new, nothing signed; another organisation has a chain of its own, or none
    assert (await signer.sign_audit_head(chain.org_id)).position == 7
    assert (await signer.sign_audit_head(uuid4())).position == 0
    assert await chain.positions() == [7]


async def test_what_it_is_told_is_not_looked_at(signer: SignerClient, chain: Chain) -> None:
    told = {"org_id": str(chain.org_id), "position": 2**62, "integrity_hash": "ab" * 32}
    assert (await signer._ask("sign_audit_head", told))["position"] == 0
    assert await signer.audit_head(chain.org_id) is None
    await chain.grow(2)
    assert (await signer._ask("sign_audit_head", told))["position"] == 2
    assert await chain.positions() == [2]


async def test_a_long_chain_is_walked_in_pieces(signer: SignerClient, chain: Chain) -> None:
    await chain.grow(2 * BATCH + 1)
    advances = [await signer.sign_audit_head(chain.org_id) for _ in range(3)]
    assert [each.position for each in advances] == [BATCH, 2 * BATCH, 2 * BATCH + 1]
    assert [each.is_more for each in advances] == [True, True, False]
    assert await chain.positions() == [BATCH, 2 * BATCH, 2 * BATCH + 1]


@pytest.mark.parametrize(
    "false", [{"integrity_hash": "ab" * 32}, {"event_id": UUID(int=1)}, {"prev_event_id": UUID(int=2)}]
)
async def test_a_false_seal_is_no_head_and_stops_none_behind_it(
    signer: SignerClient, chain: Chain, false: dict[str, Any]
) -> None:
    if "event_id" in false:
        false = {"event_id": uuid4()}
    await chain.grow(3)
    await chain.grow(1, **false)
    advance = await signer.sign_audit_head(chain.org_id)
    assert (advance.position, advance.faults) == (3, 1)
    await chain.grow(1)
    advance = await signer.sign_audit_head(chain.org_id)
    assert (advance.position, advance.faults) == (5, 0)
    assert await chain.positions() == [3, 5]


async def test_many_false_seals_are_passed_over(signer: SignerClient, chain: Chain) -> None:
    await chain.grow(1)
    await chain.grow(BATCH + 5, integrity_hash="ab" * 32)
    await chain.grow(1)
    positions = [(await signer.sign_audit_head(chain.org_id)).position for _ in range(3)]
    assert positions == [1, BATCH + 7, BATCH + 7]
    assert await chain.positions() == [1, BATCH + 7]


async def test_an_event_that_was_changed_before_its_head_is_not_signed(signer: SignerClient, chain: Chain) -> None:
    await chain.grow(4)
    await chain.run(
        "UPDATE audit_events SET actor_id = 'somebody else' WHERE org_id = %s AND id IN "
        "(SELECT event_id FROM audit_seals WHERE position = 4)"
    )
    advance = await signer.sign_audit_head(chain.org_id)
    assert (advance.position, advance.faults) == (3, 1)


async def test_nothing_behind_a_hole_is_signed(signer: SignerClient, chain: Chain) -> None:
    await chain.grow(6)
    await chain.run("DELETE FROM audit_seals WHERE org_id = %s AND position = 4")
    assert (await signer.sign_audit_head(chain.org_id)).position == 3
    with pytest.raises(AuditHeadRefused):
        await signer.sign_audit_head(chain.org_id)
    assert await chain.positions() == [3]


@pytest.mark.parametrize(
    "rewrite",
    [
        "DELETE FROM audit_seals WHERE org_id = %s AND position > 3",
        "UPDATE audit_seals SET integrity_hash = repeat('ab', 32) WHERE org_id = %s AND position = 5",
    ],
)
async def test_a_chain_that_was_cut_or_rewritten_gets_no_head(
    signer: SignerClient, chain: Chain, rewrite: str
) -> None:
    await chain.grow(5)
    await signer.sign_audit_head(chain.org_id)
    await chain.run(rewrite)
    chain.last = None if chain.last is None else replace(chain.last, position=3 if "DELETE" in rewrite else 5)
    await chain.grow(4)
    with pytest.raises(AuditHeadRefused):
        await signer.sign_audit_head(chain.org_id)
    assert await chain.positions() == [5]


async def test_a_head_that_was_recorded_and_not_kept_is_kept_later(signer: SignerClient, chain: Chain) -> None:
    await chain.grow(2)
    await signer.sign_audit_head(chain.org_id)
    await chain.run("DELETE FROM audit_heads WHERE org_id = %s")
    assert (await signer.sign_audit_head(chain.org_id)).position == 2
    assert await chain.positions() == [2]


async def test_seals_follow_one_another_whoever_adds_them(chain: Chain) -> None:
    await chain.grow(2)
    for position in (2**62, 2**63 - 1, 4, 0, -1):
        with pytest.raises(psycopg.errors.CheckViolation):
            await chain.grow(1, position=position)


async def test_two_signers_share_the_key_and_the_record(hsm: Hsm) -> None:
    first = await hsm.start()
    client = hsm.client()
    async with await opened(hsm) as connection:
        chain = Chain(connection)
        await chain.grow(3)
        await client.sign_audit_head(chain.org_id)
        keys = await client.audit_keys()
        hsm.kill(first)
        await hsm.start()
        await hsm.start()
        await chain.grow(4)
        clients = [hsm.client() for _ in range(4)]
        await asyncio.gather(*(each.sign_audit_head(chain.org_id) for each in clients))
        assert await chain.positions() == [3, 7]
        public = Ed25519PublicKey.from_public_bytes(keys[0].public_key)
        for head in await chain.heads():
            message = head_message(
                chain.org_id, head["position"], head["integrity_hash"], microseconds(head["signed_at"])
            )
            public.verify(head["signature"], message)
        assert await client.audit_keys() == keys
        for each in (client, *clients):
            await each.close()
