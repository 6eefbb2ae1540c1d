"""The first human is made once, whatever address a later start names."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from tests.support.postgres import Postgres, open_database
from vault.auth import accounts, first_human
from vault.auth.models import User
from vault.db import Database, metadata

COMPOSED, DECOMPOSED = "caf\u00e9 au lait", "cafe\u0301 au lait"


@pytest.fixture
async def empty(postgres: Postgres) -> AsyncIterator[Database]:
    """A database in which nobody is yet."""
    async with open_database(postgres.create(f"first_{uuid4().hex[:8]}"), metadata) as opened:
        yield opened


async def test_it_is_made_once_and_owns_the_platform(empty: Database) -> None:
    assert await first_human.create(empty, "Ops@Example.org", DECOMPOSED) is True
    assert await first_human.create(empty, "ops@example.org", "another") is False
    # another address later makes no second administrator
    assert await first_human.create(empty, "new@example.org", "another") is False
    async with empty.begin() as connection:
        people = (await connection.execute(select(User.email, User.is_platform_admin))).all()
        found = await first_human.find(connection)
    assert [tuple(person) for person in people] == [("ops@example.org", True)]
    assert found is not None
    assert (found.email, found.role, found.is_live) == ("ops@example.org", "owner", True)
    # the operator's choice has the one form of passwords too
    assert PasswordHasher().verify(found.password_hash, COMPOSED)


async def test_of_several_programs_that_start_at_once_one_makes_it(empty: Database) -> None:
    made = await asyncio.gather(*(first_human.create(empty, f"p{n}@example.org", "choice") for n in range(4)))
    assert sorted(made) == [False, False, False, True]


async def test_it_stays_the_first_when_its_address_changes(empty: Database) -> None:
    await first_human.create(empty, "ops@example.org", "choice")
    async with empty.begin() as connection:
        before = await first_human.find(connection)
        assert before is not None
        await accounts.update_profile(connection, before.id, {"email": "other@example.org"})
        after = await first_human.find(connection)
    assert after is not None
    assert after.id == before.id
    assert await first_human.create(empty, "ops@example.org", "choice") is False
