"""Changing a password, and setting a new one when it is forgotten."""

import secrets

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write, write_for
from vault.auth import accounts, lockout, mails, outbox, places
from vault.auth.caller import Caller
from vault.auth.emails import normalise
from vault.auth.keys import digest_of as token_digest
from vault.auth.origin import at_address
from vault.auth.password_rule import fault
from vault.auth.passwords import hash_password, verify_password
from vault.auth.service import NOBODYS_ORG
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import bad_request, conflict, unauthorized

FORGOTTEN = "If there is an account with this address, a mail with a link is on its way."


async def change(context: Context, caller: Caller, current_password: str, new_password: str) -> None:
    """Set a new password and end every token and session of the person; personal API keys stay.

    Problem 400 for a weak new password or a wrong current one, 429 after too many wrong ones.
    """
    _require_strong(new_password)
    async with context.database.begin() as connection:
        account = await accounts.find_by_id(connection, caller.id)
    if account is None:
        raise unauthorized()
    # by the person, who has proved to be one: others' failed log-ins are none of his
    subject = lockout.current_password(caller.id)
    place = at_address(caller.ip_address, is_known=True)
    async with lockout.counted(context.database, subject):
        if not await verify_password(account.password_hash, current_password, place):
            async with context.database.begin() as connection:
                await write_for(connection, caller, "auth.failure", "user", caller.id, method="current_password")
            raise bad_request("The current password is wrong", current_password="is wrong")  # noqa: S106 - a message
        password_hash = await hash_password(new_password, place)
        async with context.database.begin() as connection:
            if not await accounts.change_password(connection, caller.id, password_hash, was=account.password_hash):
                raise conflict("The password was changed by somebody else just now")
            await write_for(connection, caller, "user.change_password", "user", caller.id)
            await _tell(context, connection, account.email)
            await places.forget_all(connection, caller.id)
            await places.remember_address(connection, caller.id, account.email, caller.ip_address)
            await lockout.passed(connection, subject)


async def forgot(context: Context, email: str, ip_address: str | None) -> str:
    """Mail a link if there is an account with a password; the answer, the work and the time do not tell.

    At most 5 mails an hour to one address.
    """
    address = normalise(email)
    token = secrets.token_urlsafe(32)
    mail = mails.reset_password(_public_url(context), token)
    async with context.database.begin() as connection:
        account = await accounts.find_by_email(connection, address)
        is_bearable = await outbox.may_post(connection, to=address, subject=mail.subject)
        has_password = account is not None and account.is_live and account.password_hash is not None
        # the same statements for everybody; what nobody is to have is taken back
        attempt = await connection.begin_nested()
        await accounts.add_reset(
            connection,
            token_hash=token_digest(token),
            email=address,
            user_id=account.id if account is not None else NOBODYS_ORG,
        )
        await outbox.post(context, connection, to=address, subject=mail.subject, text=mail.text)
        if has_password and is_bearable:
            await attempt.commit()
        else:
            await attempt.rollback()
        await _note_request(connection, account, ip_address)
    return FORGOTTEN


async def reset(context: Context, token: str, new_password: str, ip_address: str | None) -> None:
    """Set a new password with a mailed token (1 h, once) and end every token and session of the person.

    Problem 400 for a weak password, or a token that is unknown, used or expired. The second factor, if there is
    one, is still asked for at the next login.
    """
    _require_strong(new_password)
    digest = token_digest(token)
    async with context.database.begin() as connection:
        # before Argon2: a made-up token costs us nothing
        is_waiting = await accounts.is_waiting(connection, digest, accounts.RESET_PASSWORD)
    if not is_waiting:
        raise bad_request("The token is invalid, used or expired")
    place = at_address(ip_address)
    password_hash = await hash_password(new_password, place)
    async with context.database.begin() as connection:
        taken = await accounts.take_token(connection, digest, accounts.RESET_PASSWORD)
        account = await accounts.find_by_id(connection, taken.user_id) if taken is not None else None
        if account is None or not await accounts.change_password(connection, account.id, password_hash):
            raise bad_request("The token is invalid, used or expired")
        await write(
            connection,
            org_id=account.org_id,
            actor_type="user",
            actor_id=str(account.id),
            action="user.reset_password",
            resource_type="user",
            resource_id=account.id,
            ip_address=ip_address,
        )
        await _tell(context, connection, account.email)
        # whoever reads the mailbox is the person: let in, whatever others tried
        await places.forget_all(connection, account.id)
        await places.remember_address(connection, account.id, account.email, ip_address)
        await lockout.passed(connection, lockout.account(account.email, place))


def _require_strong(password: str) -> None:
    weakness = fault(password)
    if weakness:
        raise bad_request(weakness, new_password=weakness)


async def _tell(context: Context, connection: AsyncConnection, email: str) -> None:
    mail = mails.password_changed(_public_url(context))
    await outbox.post(context, connection, to=email, subject=mail.subject, text=mail.text)


async def _note_request(connection: AsyncConnection, account: AnyRow | None, ip_address: str | None) -> None:
    await write(
        connection,
        org_id=account.org_id if account else NOBODYS_ORG,
        actor_type="anonymous",
        actor_id="unknown",
        action="user.forget_password",
        resource_type="user",
        resource_id=account.id if account else "unknown",
        ip_address=ip_address,
    )


def _public_url(context: Context) -> str:
    return context.options.public_url.rstrip("/")
