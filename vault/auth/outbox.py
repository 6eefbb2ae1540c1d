"""The mail outbox: written in the transaction that causes a mail, sent later by the worker."""

from uuid import uuid4

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.models import OutboxMail
from vault.columns import AnyRow
from vault.schemas import Page


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
