"""Invitations: rows of the mailed tokens, at most one open one for an address in an organisation."""

import hashlib
from uuid import UUID

from sqlalchemy import and_, exists, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from vault.auth.models import EmailToken
from vault.columns import AnyRow
from vault.orgs.models import Membership, Organisation
from vault.schemas import Page

INVITE = "invite"
DAYS = 7
MAX_OPEN = 200

# Counts only as long as whoever sent it might send it still: what a dismissed administrator started ends with him,
# and nobody joins an organisation that was left.
_OPEN = (
    EmailToken.purpose == INVITE,
    EmailToken.used_at.is_(None),
    EmailToken.expires_at > func.now(),
    exists().where(
        Membership.user_id == EmailToken.user_id,
        Membership.org_id == EmailToken.org_id,
        or_(Membership.role == "owner", and_(Membership.role == "admin", EmailToken.role != "owner")),
    ),
)


async def add(connection: AsyncConnection, *, token: str, email: str, org_id: UUID, role: str, sent_by: UUID) -> None:
    """Keep an invitation (7 days) in place of an earlier one for the same address."""
    await withdraw(connection, org_id, email)
    await connection.execute(
        insert(EmailToken).values(
            token_hash=digest(token),
            purpose=INVITE,
            email=email,
            user_id=sent_by,
            org_id=org_id,
            role=role,
            expires_at=func.now() + text(f"interval '{DAYS} days'"),
        )
    )


async def withdraw(connection: AsyncConnection, org_id: UUID, email: str) -> None:
    """End what is open for an address in an organisation."""
    mine = (EmailToken.org_id == org_id, EmailToken.email == email, EmailToken.purpose == INVITE)
    unused = EmailToken.used_at.is_(None)
    await connection.execute(update(EmailToken).where(*mine, unused).values(used_at=func.now()))


async def count_open(connection: AsyncConnection, org_id: UUID) -> int:
    """How many invitations of an organisation are open, as far as it matters."""
    some = select(EmailToken.token_hash).where(*_OPEN, EmailToken.org_id == org_id).limit(MAX_OPEN).subquery()
    return int((await connection.execute(select(func.count()).select_from(some))).scalar_one())


async def of_address(connection: AsyncConnection, email: str, page: Page) -> list[AnyRow]:
    """A page of what is open for an address, newest first."""
    statement = (
        select(
            EmailToken.org_id,
            Organisation.name.label("org_name"),
            EmailToken.role,
            EmailToken.created_at,
            EmailToken.expires_at,
        )
        .join(Organisation, Organisation.id == EmailToken.org_id)
        .where(*_OPEN, EmailToken.email == email)
        .order_by(EmailToken.created_at.desc(), EmailToken.org_id)
    )
    return list((await connection.execute(statement.limit(page.limit).offset(page.offset))).all())


async def of_token(connection: AsyncConnection, token: str) -> AnyRow | None:
    """The open invitation that a mailed token stands for."""
    return await _find(connection, EmailToken.token_hash == digest(token))


async def of_org(connection: AsyncConnection, org_id: UUID, email: str) -> AnyRow | None:
    """The open invitation of an address to an organisation."""
    return await _find(connection, and_(EmailToken.org_id == org_id, EmailToken.email == email))


async def use(connection: AsyncConnection, token_hash: bytes) -> str | None:
    """Use an invitation up and return the role it gives; None when it is not open any more."""
    statement = update(EmailToken).where(*_OPEN, EmailToken.token_hash == token_hash).values(used_at=func.now())
    return (await connection.execute(statement.returning(EmailToken.role))).scalar_one_or_none()


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


async def _find(connection: AsyncConnection, which: ColumnElement[bool]) -> AnyRow | None:
    statement = select(EmailToken.token_hash, EmailToken.email, EmailToken.org_id)
    return (await connection.execute(statement.where(*_OPEN, which).limit(1))).one_or_none()
