"""Send the outbox: one mail after the other, tried again with growing delay, given up after a day."""

from datetime import timedelta
from email.message import EmailMessage
from email.utils import make_msgid
from urllib.parse import unquote, urlsplit
from uuid import UUID

import structlog
from aiosmtplib import SMTP, SMTPDataError, SMTPException, SMTPRecipientsRefused
from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth import outbox
from vault.auth.models import OutboxMail
from vault.columns import AnyRow
from vault.context import Context

log = structlog.get_logger(__name__)

BATCH = 50
MAX_TRIES = 12
TIMEOUT_S = 15.0
LONGEST_DELAY_S = 4 * 3600
# whether a mail should be sent now, in SQL
IS_DUE = f"""EXISTS (
    SELECT FROM outbox_mails WHERE sent_at IS NULL AND next_try_at <= clock_timestamp() AND tries < {MAX_TRIES}
)"""
LATEST = timedelta(seconds=LONGEST_DELAY_S)


async def send_mails(context: Context, *, server: str | None, sender: str) -> None:
    """Send what is due (at most 50 mails); without a `server` (smtp:// or smtps://) all stays in the outbox.

    A mail may arrive twice when we die between the server's yes and our commit, but never not at all.
    """
    if server is None:
        return
    for _ in range(BATCH):
        async with context.database.begin() as connection:
            mail = await _due(connection)
            if mail is None:
                return
            # counted and put off before it is tried: another worker, or our next life, does not hammer on it
            await _put_off(connection, mail.id, mail.tries)
        try:
            await _send(server, sender, mail, await outbox.text_of(context, mail))
        except (SMTPException, OSError) as error:
            # neither the address nor the server's words: they quote the mail
            log.warning("a mail could not be sent", error=type(error).__name__, tries=mail.tries + 1)
            # refused for its own sake: anybody can sign up with addresses that nobody has, the others do not wait
            if isinstance(error, SMTPRecipientsRefused | SMTPDataError):
                continue
            return
        async with context.database.begin() as connection:
            await connection.execute(
                update(OutboxMail).where(OutboxMail.id == mail.id).values(sent_at=func.clock_timestamp())
            )


async def _due(connection: AsyncConnection) -> AnyRow | None:
    statement = (
        select(OutboxMail.id, OutboxMail.recipient, OutboxMail.subject, OutboxMail.sealed, OutboxMail.tries)
        .where(
            OutboxMail.sent_at.is_(None),
            # a time further off than the longest delay is of a clock that was stepped back since
            or_(
                OutboxMail.next_try_at <= func.clock_timestamp(),
                OutboxMail.next_try_at > func.clock_timestamp() + LATEST,
            ),
            OutboxMail.tries < MAX_TRIES,
        )
        .order_by(OutboxMail.next_try_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return (await connection.execute(statement)).one_or_none()


async def _put_off(connection: AsyncConnection, mail_id: UUID, tries: int) -> None:
    delay = timedelta(seconds=min(30 * 2**tries, LONGEST_DELAY_S))
    await connection.execute(
        update(OutboxMail)
        .where(OutboxMail.id == mail_id)
        .values(tries=tries + 1, next_try_at=func.clock_timestamp() + delay)
    )


async def _send(server: str, sender: str, mail: AnyRow, text: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, mail.recipient, mail.subject
    message["Message-ID"] = make_msgid(domain="talon.local")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    url = urlsplit(server)
    encrypted = url.scheme == "smtps"
    smtp = SMTP(
        hostname=url.hostname,
        port=url.port or (465 if encrypted else 587),
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        use_tls=encrypted,
        # a password never crosses a line that somebody could have stripped of its encryption
        start_tls=True if url.password and not encrypted else None,
        timeout=TIMEOUT_S,
    )
    async with smtp:
        await smtp.send_message(message)
