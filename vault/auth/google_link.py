"""Which Google account opens an account of ours: decided by Google where it is the authority, else by the person.

Google verifies an address once. Whoever has it now is only certain where Google itself hands the addresses out; in
any other domain the mailbox may long be somebody else's, and the account's password says whose account it is.
"""

from typing import Final

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write, write_for
from vault.auth import accounts, lockout, mails, outbox, places
from vault.auth.caller import Caller
from vault.auth.models import User
from vault.auth.origin import at_address
from vault.auth.passwords import verify_password
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import Problem, bad_request, conflict, unauthorized

# one mailbox has both
OF_GOOGLE: Final = frozenset({"gmail.com", "googlemail.com"})

_OTHER_ADDRESS = "The Google account has another e-mail address than this account"
_TAKEN = "This account, or this Google account, is linked to another one already"


def is_authority(email: str, hosted_domain: object) -> bool:
    """Whether Google hands out the addresses of this (normalised) one's domain [pure].

    So says Google's documentation of ID tokens: its own domains, and the one that the `hd` claim names.
    """
    domain = email.rpartition("@")[2]
    if domain in OF_GOOGLE:
        return True
    # ASCII only: lower() turns some other letters into ASCII ones
    return isinstance(hosted_domain, str) and hosted_domain.isascii() and hosted_domain.lower() == domain


def needs_password() -> Problem:
    """401 for a person who has to say by password whose account it is."""
    return Problem(
        401,
        "There is an account with this address and a password, and Google is no authority for the address's domain. "
        "Log in with the password (POST /v1/auth/token), then link Google with POST /v1/auth/google/link "
        "{id_token, password}; from then on Google logs you in.",
        type="google_link_required",
        headers={"WWW-Authenticate": "Bearer"},
    )


async def link(
    context: Context, connection: AsyncConnection, account: AnyRow, subject: str, by: str, ip_address: str | None
) -> bool:
    """Let a Google account open this one, say so in the audit log and to the person; False when either is taken."""
    statement = update(User).where(User.id == account.id, User.google_subject.is_(None), User.deleted_at.is_(None))
    try:
        async with connection.begin_nested():
            linked = await connection.execute(statement.values(google_subject=subject).returning(User.id))
    except IntegrityError:
        return False
    if linked.one_or_none() is None:
        return False
    await write(
        connection,
        org_id=account.org_id,
        actor_type="user",
        actor_id=str(account.id),
        action="user.link_google",
        resource_type="user",
        resource_id=account.id,
        details={"by": by},
        ip_address=ip_address,
    )
    mail = mails.google_linked(context.options.public_url.rstrip("/"))
    await outbox.post(context, connection, to=account.email, subject=mail.subject, text=mail.text)
    return True


async def link_by_password(context: Context, caller: Caller, subject: str, email: str, password: str) -> None:
    """What a signed-in person asks for, with the password: a session alone may be in somebody else's hands.

    Problem 400 for another address or a wrong password, 409 when something is linked already, 429 after too many
    wrong passwords.
    """
    async with context.database.begin() as connection:
        account = await accounts.find_by_id(connection, caller.id)
    if account is None:
        raise unauthorized()
    if account.email != email:
        raise bad_request(_OTHER_ADDRESS, id_token="is of another address")  # noqa: S106 - a message
    if account.google_subject == subject:
        return
    subject_tried = lockout.current_password(caller.id)
    async with lockout.counted(context.database, subject_tried):
        place = at_address(caller.ip_address, is_known=True)
        if not await verify_password(account.password_hash, password, place):
            async with context.database.begin() as connection:
                await write_for(connection, caller, "auth.failure", "user", caller.id, method="google_link")
            raise bad_request("The password is wrong", password="is wrong")  # noqa: S106 - a message
        async with context.database.begin() as connection:
            current = await accounts.find_by_id(connection, caller.id)
            if current is None or not current.is_live or current.password_hash != account.password_hash:
                raise conflict("The account was changed by somebody else just now")
            await lockout.passed(connection, subject_tried)
            is_linked = await link(context, connection, current, subject, "password", caller.ip_address)
    if not is_linked:
        raise conflict(_TAKEN)


async def unlink(context: Context, caller: Caller) -> None:
    """Have no Google account open this one any more, and end every token and session: one of them may be Google's.

    Problem 409 for an account without a password: nothing would open it.
    """
    async with context.database.begin() as connection:
        account = await accounts.find_by_id(connection, caller.id)
        if account is None or account.google_subject is None:
            raise conflict("No Google account is linked")
        if account.password_hash is None:
            raise conflict("Without Google nothing would open this account: it has no password")
        unlinked = update(User).where(User.id == caller.id)
        await connection.execute(unlinked.values(google_subject=None, token_version=User.token_version + 1))
        await accounts.end_logins(connection, caller.id)
        await places.forget_all(connection, caller.id)
        await write_for(connection, caller, "user.unlink_google", "user", caller.id)
