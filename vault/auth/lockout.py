"""Lock-out: failed log-ins are counted per account and place, and each one makes the next wait longer.

A try is counted before its password is looked at and forgiven when it was right, so that many tries at once, in
however many processes, are no way around the count. Unknown accounts are counted like known ones. Over all places
of an account there is a ceiling, which the right password passes from a place that the account knows; known devices
are counted by themselves.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.client_address import group_of
from vault.auth.lockout_rule import delays
from vault.auth.origin import Place
from vault.db import Database
from vault.errors import Problem

FREE_OF_ACCOUNT = 5
FREE_FROM_ADDRESS = 20
# failures an hour of one account, from all places together except the devices it knows
FREE_OF_STRANGERS = 100
STRANGERS_WINDOW_S = 3600
# after so long without a failure the count starts anew
ACCOUNT_FADES_S = 24 * 3600
ADDRESS_FADES_S = 3600


@dataclass(frozen=True)
class Subject:
    """What is locked. A success forgets all failures of what is one's own, of what others share only itself.

    `is_final`: while it is locked nothing is looked at. Otherwise the block of `counted` looks, but lets nobody in
    who was not here before.
    """

    digest: bytes
    kind: Literal["own", "address", "strangers"]
    free: int
    fades_s: int
    is_final: bool = True


@dataclass(frozen=True)
class Tried:
    """A try that may be looked at: what it was counted against, and the seconds that it waits even if it is right."""

    subjects: tuple[Subject, ...]
    wait_s: int


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
# `locked_until` is the end of the window that the first failure opened; it locks once there were `free` of them
_COUNT_OF_STRANGERS = text("""
    INSERT INTO lockouts AS l (subject, failures, last_failed_at, locked_until)
    VALUES (:subject, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => :fades_s))
    ON CONFLICT (subject) DO UPDATE SET
        failures = CASE WHEN l.locked_until <= clock_timestamp() THEN 1 ELSE l.failures + 1 END,
        locked_until = CASE WHEN l.locked_until <= clock_timestamp()
            THEN clock_timestamp() + make_interval(secs => :fades_s) ELSE l.locked_until END,
        last_failed_at = clock_timestamp()
    WHERE l.locked_until <= clock_timestamp() OR l.failures < :free
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
_TAKE_BACK_FROM_STRANGERS = text("UPDATE lockouts SET failures = greatest(failures - 1, 0) WHERE subject = :subject")


def of_login(email: str, place: Place, ip: str | None) -> tuple[Subject, ...]:
    """What a log-in at an account, by its (normalised) address, counts against, whether or not there is one."""
    if place.is_device:
        return (account(email, place),)
    return account(email, place), strangers(email), address(ip)


def account(email: str, place: Place) -> Subject:
    """The password of an account, from one place."""
    return _own("account", f"{place.name}:{email}")


def strangers(email: str) -> Subject:
    """The password of an account, from all places except the devices that it knows."""
    digest = _digest("strangers", email)
    return Subject(digest, "strangers", FREE_OF_STRANGERS, STRANGERS_WINDOW_S, is_final=False)


def address(ip: str | None) -> Subject:
    """Where tries come from that show no known device; an IPv6 host has a whole /64 to itself."""
    return _of_address("address", ip, is_final=False)


def current_password(user_id: UUID) -> Subject:
    """The password of somebody who is signed in already, and is asked for it once more."""
    return _own("current-password", str(user_id))


def second_factor(user_id: UUID) -> Subject:
    """The second factor of a person; a right password alone does not forgive its failures."""
    return _own("mfa", str(user_id))


def code_guesses(ip: str | None) -> Subject:
    """Guesses of other people's device codes from an address."""
    return _of_address("device", ip)


def code_guesses_of(user_id: UUID) -> Subject:
    """Guesses of other people's device codes by a signed-in person."""
    return _own("device-user", str(user_id))


@asynccontextmanager
async def counted(database: Database, *subjects: Subject) -> AsyncIterator[Tried]:
    """Count a try before it is looked at: the block looks, and calls `passed` if it was right.

    Problem 429 with Retry-After, without the block, for what is locked for good. A try that we had no time for is
    forgiven.
    """
    tried = await _count(database, subjects)
    try:
        yield tried
    except Problem as problem:
        if problem.status == 503:
            async with database.begin() as connection:
                for subject in tried.subjects:
                    await _take_back(connection, subject)
        raise


async def passed(connection: AsyncConnection, *subjects: Subject) -> None:
    """The try that was counted against these was right, in the transaction that it opens the door in."""
    for subject in _in_order(subjects):
        if subject.kind == "own":
            await connection.execute(_FORGET, {"subject": subject.digest})
        else:
            await _take_back(connection, subject)


def locked(wait_s: int | str, said: str = "Too many failed attempts;") -> Problem:
    """The answer to a try that is not let in for so many seconds."""
    return Problem(
        429,
        f"{said} try again in {wait_s} second{'s' if int(wait_s) > 1 else ''}",
        headers={"Retry-After": str(wait_s)},
    )


async def _count(database: Database, subjects: tuple[Subject, ...]) -> Tried:
    """Count for all that are not locked."""
    ours, wait_s = [], 0
    async with database.engine.connect() as connection:
        for subject in _in_order(subjects):
            if await _count_one(connection, subject):
                ours.append(subject)
                continue
            wait = (await connection.execute(_WAIT, {"subject": subject.digest})).scalar_one_or_none()
            wait_s = max(wait_s, 1, int(wait or 1))
            if subject.is_final:
                await connection.rollback()
                raise locked(wait_s)
        await connection.commit()
    return Tried(tuple(ours), wait_s)


async def _count_one(connection: AsyncConnection, subject: Subject) -> bool:
    values = {"subject": subject.digest, "fades_s": subject.fades_s}
    if subject.kind == "strangers":
        counted = await connection.execute(_COUNT_OF_STRANGERS, {**values, "free": subject.free})
    else:
        counted = await connection.execute(_COUNT, {**values, "delays": delays(subject.free)})
    return counted.one_or_none() is not None


async def _take_back(connection: AsyncConnection, subject: Subject) -> None:
    if subject.kind == "strangers":
        await connection.execute(_TAKE_BACK_FROM_STRANGERS, {"subject": subject.digest})
    else:
        await connection.execute(_TAKE_BACK, {"subject": subject.digest, "free": subject.free})


def _in_order(subjects: tuple[Subject, ...]) -> list[Subject]:
    """One's own first, always: two transactions that lock in one order never wait for each other in a ring, and what
    is locked for good costs the shared ones nothing."""
    return sorted(set(subjects), key=lambda subject: (subject.kind != "own", subject.kind, subject.digest))


def _own(kind: str, name: str) -> Subject:
    return Subject(_digest(kind, name), "own", FREE_OF_ACCOUNT, ACCOUNT_FADES_S)


def _of_address(kind: str, ip: str | None, *, is_final: bool = True) -> Subject:
    return Subject(_digest(kind, group_of(ip)), "address", FREE_FROM_ADDRESS, ADDRESS_FADES_S, is_final)


def _digest(kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{kind}:{name}".encode()).digest()
