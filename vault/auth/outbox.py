"""The mail outbox: written in the transaction that causes a mail, sent later by the worker."""

from uuid import UUID, uuid4

from sqlalchemy import func, insert, select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.models import OutboxMail
from vault.columns import AnyRow
from vault.context import Context
from vault.schemas import Page

MAX_ALIKE = 5
# the vault that mails are sealed in: no row of vaults, only a key at the signer
MAILS = UUID("7a1e0000-0000-4000-8000-000000000002")


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


async def post(context: Context, connection: AsyncConnection, *, to: str, subject: str, text: str) -> None:
    """Put one plain-text mail into the outbox; its text is sealed behind the HSM."""
    mail_id = uuid4()
    await context.signer.create_vault_key(MAILS)
    sealed = await context.signer.seal(MAILS, _bound_to(mail_id), text.encode())
    await connection.execute(insert(OutboxMail).values(id=mail_id, recipient=to, subject=subject, sealed=sealed))


async def text_of(context: Context, mail: AnyRow) -> str:
    """What a mail says."""
    return (await context.signer.open(MAILS, _bound_to(mail.id), mail.sealed)).decode()


async def messages(connection: AsyncConnection, to: str | None, page: Page) -> list[AnyRow]:
    """Mails, newest first, still sealed; only those to one address if it is given."""
    statement = select(
        OutboxMail.id,
        OutboxMail.recipient,
        OutboxMail.subject,
        OutboxMail.sealed,
        OutboxMail.created_at,
        OutboxMail.sent_at,
    )
    if to is not None:
        statement = statement.where(OutboxMail.recipient == to)
    statement = statement.order_by(OutboxMail.created_at.desc(), OutboxMail.id)
    return list((await connection.execute(statement.limit(page.limit).offset(page.offset))).all())


def _bound_to(mail_id: UUID) -> bytes:
    return b"talon/mail/v1" + mail_id.bytes
