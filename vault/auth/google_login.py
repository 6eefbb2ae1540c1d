"""Logging in with Google: an ID token (OpenID Connect) instead of a password."""

from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write
from vault.auth import accounts, mails, outbox
from vault.auth.emails import parse_email
from vault.auth.jwks import Jwks
from vault.auth.models import User
from vault.auth.schemas import TokenReply
from vault.auth.service import create_owner, log_in, note_failure
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import Problem, bad_request, unauthorized
from vault.schemas import refuse_unstorable

METHOD = "google"
MAX_SUBJECT = 255
MAX_NAME = 255


async def google(context: Context, jwks: Jwks, id_token: str, ip_address: str | None) -> TokenReply:
    """Log in, with a new account if need be.

    Problem 400 when the operator has not set this up, 401 for a token that does not count, 503 when Google's keys
    cannot be had.
    """
    options = context.options
    if not options.google_client_ids:
        raise bad_request("Log-in with Google is not set up here (TALON_GOOGLE_CLIENT_IDS)")
    claims = await jwks.verify(
        id_token,
        jwks_url=options.google_jwks_url,
        issuers=options.google_issuers,
        audiences=options.google_client_ids,
    )
    subject, email, name = _person(claims)
    async with context.database.begin() as connection:
        # somebody's first login twice at once: one of them creates the account and the other one finds it
        account = await _known(connection, subject, email, ip_address)
        if account is None and await _create(context, connection, subject, email, name, ip_address):
            account = await accounts.find_by_email(connection, email)
        account = account or await _known(connection, subject, email, ip_address)
        if account is not None and account.is_live and account.google_subject == subject:
            return await log_in(context, connection, account, METHOD, ip_address)
        await note_failure(connection, account, METHOD, ip_address)
    raise unauthorized("This Google account cannot log in here")


def _person(claims: dict[str, Any]) -> tuple[str, str, str]:
    """Google's unchanging id of the person, the verified address and the name; Problem 401 without these."""
    subject, email, name = claims.get("sub"), claims.get("email"), claims.get("name")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not isinstance(email, str):
        raise unauthorized("The Google token does not say who it is for")
    if claims.get("email_verified") is not True:
        raise unauthorized("The Google account's e-mail address is not verified")
    try:
        refuse_unstorable([subject])
        address = parse_email(email)
    except (ValueError, Problem):
        raise unauthorized("The Google token does not say who it is for") from None
    try:
        refuse_unstorable([name])
    except ValueError:
        name = ""
    return subject, address, name[:MAX_NAME] if isinstance(name, str) else ""


async def _known(connection: AsyncConnection, subject: str, email: str, ip_address: str | None) -> AnyRow | None:
    """The account of this Google account, else the one of its address, which is theirs from now on.

    Both sides have verified the address. An account that belongs to another Google account stays with that one.
    """
    account = await accounts.find_by_google(connection, subject)
    if account is not None:
        return account
    account = await accounts.find_by_email(connection, email)
    if account is None or not account.is_live or account.google_subject is not None:
        return account
    await connection.execute(
        update(User).where(User.id == account.id, User.google_subject.is_(None)).values(google_subject=subject)
    )
    await write(
        connection,
        org_id=account.org_id,
        actor_type="user",
        actor_id=str(account.id),
        action="user.link_google",
        resource_type="user",
        resource_id=account.id,
        ip_address=ip_address,
    )
    return await accounts.find_by_email(connection, email)


async def _create(
    context: Context, connection: AsyncConnection, subject: str, email: str, name: str, ip_address: str | None
) -> bool:
    created = await create_owner(
        connection,
        email=email,
        password_hash=None,
        display_name=name,
        ip_address=ip_address,
        google_subject=subject,
    )
    if created is None:
        return False
    mail = mails.welcome(context.options.public_url.rstrip("/"))
    await outbox.post(context, connection, to=email, subject=mail.subject, text=mail.text)
    return True
