"""People: signing up, confirming the address, and what follows a log-in."""

import secrets
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write
from vault.auth import accounts, challenges, issue, mails, outbox, places
from vault.auth.emails import parse_email
from vault.auth.keys import digest_of as token_digest
from vault.auth.origin import at_address
from vault.auth.password_rule import fault
from vault.auth.passwords import hash_password
from vault.auth.schemas import MfaRequiredReply, TokenReply
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import bad_request
from vault.orgs import repository as orgs

NOBODYS_ORG = UUID(int=0)


async def signup(
    context: Context, email: str, password: str, display_name: str, ip_address: str | None = None
) -> str:
    """Start a signup and return the stored form of the address.

    Problem 400 for a malformed address or a weak password. The answer, the work and the number of mails are the
    same whether or not the address has an account.
    """
    address = parse_email(email)
    weakness = fault(password)
    if weakness:
        raise bad_request(weakness, password=weakness)
    password_hash = await hash_password(password, at_address(ip_address))
    token = secrets.token_urlsafe(32)
    public_url = context.options.public_url.rstrip("/")
    async with context.database.begin() as connection:
        is_known = await accounts.find_by_email(connection, address) is not None
        mail = mails.known(public_url) if is_known else mails.verify_email(public_url, token)
        # nobody's mailbox is filled by somebody else's signups
        if await outbox.may_post(connection, to=address, subject=mail.subject):
            if not is_known:
                await accounts.add_signup(
                    connection,
                    token_hash=token_digest(token),
                    email=address,
                    password_hash=password_hash,
                    display_name=display_name,
                )
            await outbox.post(context, connection, to=address, subject=mail.subject, text=mail.text)
    return address


async def verify_email(context: Context, token: str, ip_address: str | None) -> TokenReply:
    """Create the account and its organisation from a mailed token and log the person in; Problem 400 if it is
    unknown, used or expired."""
    async with context.database.begin() as connection:
        waiting = await accounts.take_token(connection, token_digest(token), accounts.VERIFY_EMAIL)
        created = None
        if waiting is not None:
            created = await create_owner(
                connection,
                email=waiting.email,
                password_hash=waiting.password_hash,
                display_name=waiting.display_name,
                ip_address=ip_address,
            )
        if waiting is None or created is None:
            raise bad_request("The token is invalid, used or expired")
        user_id, org_id = created
        mail = mails.welcome(context.options.public_url.rstrip("/"))
        await outbox.post(context, connection, to=waiting.email, subject=mail.subject, text=mail.text)
        await places.remember_address(connection, user_id, waiting.email, ip_address)
        return await issue.for_user(context, connection, user_id, org_id, 1, "verify_email", ip_address)


async def log_in(
    context: Context, connection: AsyncConnection, account: AnyRow, method: str, ip_address: str | None
) -> TokenReply:
    """What somebody gets who proved to be this account's person by `method`: a token, or first a challenge."""
    if account.has_second_factor:
        token = await challenges.make(connection, account.id, account.token_version, method)
        return MfaRequiredReply(mfa_token=token, expires_in=challenges.LIFE_S)
    await places.remember_address(connection, account.id, account.email, ip_address)
    return await issue.for_user(
        context, connection, account.id, account.org_id, account.token_version, method, ip_address
    )


async def note_failure(
    connection: AsyncConnection, account: AnyRow | None, method: str, ip_address: str | None
) -> None:
    """Tell the account's organisation of a failed login; those of nobody's account are kept apart."""
    await write(
        connection,
        org_id=account.org_id if account else NOBODYS_ORG,
        actor_type="user" if account else "anonymous",
        actor_id=str(account.id) if account else "unknown",
        action="auth.failure",
        resource_type="user",
        resource_id=account.id if account else "unknown",
        details={"method": method},
        ip_address=ip_address,
    )


async def create_owner(
    connection: AsyncConnection,
    *,
    email: str,
    password_hash: str | None,
    display_name: str,
    ip_address: str | None,
    is_platform_admin: bool = False,
    google_subject: str | None = None,
) -> tuple[UUID, UUID] | None:
    """A new person who owns a new organisation: the ids of both; None if there is an account already."""
    user_id = await accounts.create_user(
        connection,
        email=email,
        password_hash=password_hash,
        display_name=display_name,
        is_platform_admin=is_platform_admin,
        google_subject=google_subject,
    )
    if user_id is None:
        return None
    org_id = await orgs.create_organisation(connection, display_name or email)
    await orgs.add_member(connection, org_id, user_id, "owner")
    await write(
        connection,
        org_id=org_id,
        actor_type="user",
        actor_id=str(user_id),
        action="user.create",
        resource_type="user",
        resource_id=user_id,
        details={"role": "owner", "is_platform_admin": is_platform_admin},
        ip_address=ip_address,
    )
    return user_id, org_id
