"""The mail outbox: written in the transaction that causes a mail, sent later by the worker."""

from uuid import uuid4

from sqlalchemy import func, insert, select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.models import OutboxMail
from vault.columns import AnyRow
from vault.schemas import Page

MAX_ALIKE = 5


async def may_post(connection: AsyncConnection, *, to: str, subject: str) -> bool:
    """Whether one more mail of this subject is bearable for its recipient: at most 5 an hour.

    For mails that anybody can cause. Holds a lock until the transaction ends, so that many at once are counted.
    """
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"mail:{to}", 0))))
    statement = select(func.count()).where(
        OutboxMail.recipient == to,
        OutboxMail.subject == subject,
        OutboxMail.created_at > func.clock_timestamp() - sql("interval '1 hour'"),
    )
    return (await connection.execute(statement)).scalar_one() < MAX_ALIKE


async def post(connection: AsyncConnection, *, to: str, subject: str, text: str) -> None:
    """Put one plain-text mail into the outbox."""
    await connection.execute(insert(OutboxMail).values(id=uuid4(), recipient=to, subject=subject, body=text))


async def messages(connection: AsyncConnection, to: str | None, page: Page) -> list[AnyRow]:
    """Mails, newest first; only those to one address if it is given."""
    statement = select(
        OutboxMail.id,
        OutboxMail.recipient.label("to"),
        OutboxMail.subject,
        OutboxMail.body.label("text"),
        OutboxMail.created_at,
        OutboxMail.sent_at,
    )
    if to is not None:
        statement = statement.where(OutboxMail.recipient == to)
    statement = statement.order_by(OutboxMail.created_at.desc(), OutboxMail.id)
    return list((await connection.execute(statement.limit(page.limit).offset(page.offset))).all())
