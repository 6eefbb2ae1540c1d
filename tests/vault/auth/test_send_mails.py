"""Mails leave the outbox once a server takes them, and stay when none does. Against a real SMTP conversation."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from sqlalchemy import select, text, update

from vault.auth import outbox
from vault.auth.models import OutboxMail
from vault.auth.send_mails import send_mails
from vault.columns import AnyRow
from vault.context import Context

SENDER = "Talon <noreply@talon.example>"


@dataclass
class MailServer:
    """Just enough of RFC 5321 to take a mail, or to refuse it."""

    refuse: bool = False
    unknown: str | None = None
    mails: list[str] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")
            await writer.drain()

        await say("220 ready")
        while line := (await reader.readline()).decode().strip():
            verb = line.split(" ")[0].upper()
            if verb == "DATA" and not self.refuse:
                await say("354 go on")
                self.mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                await say("250 taken")
            elif verb == "DATA":
                await say("451 not now")
            elif verb == "RCPT" and self.unknown is not None and self.unknown in line:
                await say("550 no such mailbox")
            elif verb == "QUIT":
                await say("221 bye")
                break
            else:
                await say("250 ok")
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    made = MailServer()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"smtp://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield made
    listening.close()


@pytest.fixture
async def recipient(context: Context) -> str:
    """A mail to an address of its own is the only one that is due."""
    address = f"{uuid4()}@example.com"
    async with context.database.begin() as connection:
        await connection.execute(update(OutboxMail).values(tries=99))
        await outbox.post(
            context, connection, to=address, subject="Grüße", text="Open this: https://x.example/?token=a=b\n"
        )
    return address


async def mail_of(context: Context, address: str) -> AnyRow:
    async with context.database.begin() as connection:
        return (await connection.execute(select(OutboxMail).where(OutboxMail.recipient == address))).one()


async def test_a_mail_is_sent_once(context: Context, server: MailServer, recipient: str) -> None:
    await send_mails(context, server=server.url, sender=SENDER)
    await send_mails(context, server=server.url, sender=SENDER)
    assert (await mail_of(context, recipient)).sent_at is not None
    assert len(server.mails) == 1
    assert f"To: {recipient}" in server.mails[0]
    assert "noreply@talon.example" in server.mails[0]


async def test_a_refused_mail_is_tried_again_later(context: Context, server: MailServer, recipient: str) -> None:
    server.refuse = True
    await send_mails(context, server=server.url, sender=SENDER)
    waiting = await mail_of(context, recipient)
    assert (waiting.sent_at, waiting.tries) == (None, 1)
    # not due yet
    server.refuse = False
    await send_mails(context, server=server.url, sender=SENDER)
    assert server.mails == []
    async with context.database.begin() as connection:
        await connection.execute(
            update(OutboxMail).where(OutboxMail.recipient == recipient).values(next_try_at=waiting.created_at)
        )
    await send_mails(context, server=server.url, sender=SENDER)
    assert (await mail_of(context, recipient)).sent_at is not None


async def test_without_a_server_all_stays(context: Context, recipient: str) -> None:
    await send_mails(context, server=None, sender=SENDER)
    assert (await mail_of(context, recipient)).tries == 0


async def test_a_server_that_is_not_there(context: Context, recipient: str) -> None:
    await send_mails(context, server="smtp://127.0.0.1:1", sender=SENDER)
    assert (await mail_of(context, recipient)).tries == 1


async def test_a_password_is_not_sent_in_the_clear(context: Context, server: MailServer, recipient: str) -> None:
    url = server.url.replace("smtp://", "smtp://user:hunter2@")
    await send_mails(context, server=url, sender=SENDER)
    # the server offers no STARTTLS
    assert server.mails == []
    assert (await mail_of(context, recipient)).sent_at is None


async def test_a_refused_mail_does_not_hold_up_the_others(
    context: Context, server: MailServer, recipient: str
) -> None:
    nobody = f"nobody-{uuid4()}@example.com"
    server.unknown = nobody
    async with context.database.begin() as connection:
        await outbox.post(context, connection, to=nobody, subject="s", text="t")
        # due before the other one
        early = update(OutboxMail).where(OutboxMail.recipient == nobody)
        await connection.execute(early.values(next_try_at=OutboxMail.next_try_at - text("interval '1 hour'")))
    await send_mails(context, server=server.url, sender=SENDER)
    assert (await mail_of(context, nobody)).sent_at is None
    assert (await mail_of(context, recipient)).sent_at is not None
