"""People with passwords and mailboxes, as the tests of /v1/auth need them."""

import itertools
import re
import secrets
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import select, text

from tests.support.factories import Person, make_user
from vault.auth import lockout, outbox
from vault.auth.models import OutboxMail
from vault.auth.passwords import hash_password
from vault.context import Context
from vault.db import Database

PASSWORD = "Correct-Horse-7-Staple"
OTHER_PASSWORD = "Wholly-Different-3-Battery"

# of PASSWORD, made once: Argon2 is slow on purpose
_hash: list[str] = []
_hosts = itertools.count(1)


def an_email() -> str:
    """An address that nobody has."""
    return f"{secrets.token_hex(8)}@example.com"


def a_peer() -> str:
    """An IP address that no other test fails from."""
    host = next(_hosts)
    return f"198.18.{host // 250}.{host % 250 + 1}"


@dataclass(frozen=True)
class Mail:
    """A mail in the outbox."""

    subject: str
    text: str


async def make_person(database: Database, **columns: Any) -> Person:
    """Somebody with PASSWORD."""
    if not _hash:
        _hash.append(await hash_password(PASSWORD))
    return await make_user(database, password_hash=_hash[0], **columns)


async def mails_to(context: Context, email: str) -> list[Mail]:
    """Somebody's mails, oldest first."""
    statement = select(OutboxMail.id, OutboxMail.subject, OutboxMail.sealed).where(OutboxMail.recipient == email)
    async with context.database.begin() as connection:
        rows = (await connection.execute(statement.order_by(OutboxMail.created_at))).all()
    return [Mail(row.subject, await outbox.text_of(context, row)) for row in rows]


async def token_to(context: Context, email: str, page: str) -> str:
    """The token of the newest mail that links to `page`."""
    links = [
        found[1]
        for mail in await mails_to(context, email)
        if (found := re.search(rf"https://talon\.example/{page}\?token=(\S+)", mail.text))
    ]
    return links[-1]


async def log_in(http: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    """Try a password."""
    return await http.post("/v1/auth/token", json={"email": email, "password": password})


async def wind(database: Database, subject: lockout.Subject | None, seconds: int) -> None:
    """Let time pass for a locked subject (below 0: lock it for longer than a slow test may take)."""
    assert subject is not None
    async with database.begin() as connection:
        await connection.execute(
            text(
                "UPDATE lockouts SET last_failed_at = last_failed_at - make_interval(secs => :s),"
                " locked_until = locked_until - make_interval(secs => :s) WHERE subject = :subject"
            ),
            {"s": seconds, "subject": subject.digest},
        )


async def lock_s(database: Database, subject: lockout.Subject | None) -> int | None:
    """For how long the last failure locked a subject; None when nothing is known of it."""
    assert subject is not None
    statement = text(
        "SELECT round(extract(epoch FROM locked_until - last_failed_at)) FROM lockouts WHERE subject = :subject"
    )
    async with database.begin() as connection:
        found = (await connection.execute(statement, {"subject": subject.digest})).scalar_one_or_none()
    return None if found is None else int(found)
