"""Lock-out: failed log-ins are counted per account and per address, and each one makes the next wait longer.

A try is counted before its password is looked at and forgiven when it was right, so that many tries at once, in
however many processes, are no way around the count. Unknown accounts are counted like known ones.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.client_address import group_of
from vault.auth.lockout_rule import delays
from vault.db import Database
from vault.errors import Problem

FREE_OF_ACCOUNT = 5
FREE_FROM_ADDRESS = 20
# after so long without a failure the count starts anew
ACCOUNT_FADES_S = 24 * 3600
ADDRESS_FADES_S = 3600


@dataclass(frozen=True)
class Subject:
    """What is locked. A success forgets all failures of one's own account, of a shared address only itself."""

    digest: bytes
    free: int
    fades_s: int
    is_shared: bool


_COUNT = text("""
    INSERT INTO lockouts AS l (subject, failures, last_failed_at)
    VALUES (:subject, 1, clock_timestamp())
    ON CONFLICT (subject) DO UPDATE SET
        failures = CASE WHEN l.last_failed_at < clock_timestamp() - make_interval(secs => :fades_s)
            THEN 1 ELSE l.failures + 1 END,
        locked_until = CASE WHEN l.last_failed_at < clock_timestamp() - make_interval(secs => :fades_s)
            THEN NULL ELSE clock_timestamp() + make_interval(secs =>
                (CAST(:delays AS integer[]))[least(l.failures + 1, cardinality(CAST(:delays AS integer[])))]) END,
        last_failed_at = clock_timestamp()
    WHERE l.locked_until IS NULL OR l.locked_until <= clock_timestamp()
    RETURNING failures
""")
_WAIT = text("""
    SELECT ceil(extract(epoch FROM locked_until - clock_timestamp())) FROM lockouts WHERE subject = :subject
""")
_FORGET = text("DELETE FROM lockouts WHERE subject = :subject")
_TAKE_BACK = text("""
    UPDATE lockouts SET failures = greatest(failures - 1, 0),
        locked_until = CASE WHEN failures - 1 < :free THEN NULL ELSE locked_until END
    WHERE subject = :subject
""")


def account(email: str) -> Subject:
    """The password of an account, by its (normalised) address, whether or not there is one."""
    return _private("account", email)


def second_factor(user_id: UUID) -> Subject:
    """The second factor of a person; a right password alone does not forgive its failures."""
    return _private("mfa", str(user_id))


def address(ip: str | None) -> Subject:
    """Where tries come from; an IPv6 host has a whole /64 to itself."""
    return _shared("address", ip)


def code_guesses(ip: str | None) -> Subject:
    """Guesses of other people's device codes from an address."""
    return _shared("device", ip)


def code_guesses_of(user_id: UUID) -> Subject:
    """Guesses of other people's device codes by a signed-in person."""
    return _private("device-user", str(user_id))


@asynccontextmanager
async def counted(database: Database, *subjects: Subject | None) -> AsyncIterator[None]:
    """Count a try before it is looked at: the block looks, and calls `passed` if it was right.

    Problem 429 with Retry-After, without the block, for what is locked. A try that we had no time for is forgiven.
    """
    wait_s = await _count(database, subjects)
    if wait_s:
        raise Problem(
            429,
            f"Too many failed attempts; try again in {wait_s} second{'s' if wait_s > 1 else ''}",
            headers={"Retry-After": str(wait_s)},
        )
    try:
        yield
    except Problem as problem:
        if problem.status == 503:
            async with database.begin() as connection:
                for subject in _in_order(subjects):
                    await _take_back(connection, subject)
        raise


async def passed(connection: AsyncConnection, *subjects: Subject | None) -> None:
    """The try that was counted was right, in the transaction that it opens the door in."""
    for subject in _in_order(subjects):
        if subject.is_shared:
            await _take_back(connection, subject)
        else:
            await connection.execute(_FORGET, {"subject": subject.digest})


async def _count(database: Database, subjects: tuple[Subject | None, ...]) -> int:
    """Count for all of them, or for none and return the seconds to wait."""
    async with database.engine.connect() as connection:
        for subject in _in_order(subjects):
            counted = await connection.execute(
                _COUNT,
                {"subject": subject.digest, "fades_s": subject.fades_s, "delays": delays(subject.free)},
            )
            if counted.one_or_none() is None:
                wait = (await connection.execute(_WAIT, {"subject": subject.digest})).scalar_one_or_none()
                await connection.rollback()
                return max(1, int(wait or 1))
        await connection.commit()
    return 0


async def _take_back(connection: AsyncConnection, subject: Subject) -> None:
    await connection.execute(_TAKE_BACK, {"subject": subject.digest, "free": subject.free})


def _in_order(subjects: tuple[Subject | None, ...]) -> list[Subject]:
    """Shared ones first, always: two transactions that lock in one order never wait for each other in a ring."""
    present = {subject for subject in subjects if subject is not None}
    return sorted(present, key=lambda subject: (not subject.is_shared, subject.digest))


def _private(kind: str, name: str) -> Subject:
    return Subject(_digest(kind, name), FREE_OF_ACCOUNT, ACCOUNT_FADES_S, is_shared=False)


def _shared(kind: str, ip: str | None) -> Subject:
    return Subject(_digest(kind, group_of(ip)), FREE_FROM_ADDRESS, ADDRESS_FADES_S, is_shared=True)


def _digest(kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{kind}:{name}".encode()).digest()
