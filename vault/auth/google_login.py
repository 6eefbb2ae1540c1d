"""Logging in with Google: an ID token (OpenID Connect) instead of a password."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth import accounts, google_link, mails, outbox
from vault.auth.emails import parse_email
from vault.auth.jwks import Jwks
from vault.auth.schemas import TokenReply
from vault.auth.service import create_owner, log_in, note_failure
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import Problem, bad_request, unauthorized
from vault.schemas import refuse_unstorable

METHOD = "google"
MAX_SUBJECT = 255
MAX_NAME = 255


@dataclass(frozen=True)
class Person:
    """Google's unchanging id of somebody, the verified address (normalised), and the name.

    `is_certain`: the address is theirs today, because Google hands out the addresses of its domain.
    """

    subject: str
    email: str
    name: str
    is_certain: bool


async def google(context: Context, jwks: Jwks, id_token: str, ip_address: str | None) -> TokenReply:
    """Log in, with a new account if need be; problems as of `person_of`, 401 for somebody who has to link first."""
    person = await person_of(context, jwks, id_token)
    async with context.database.logins.begin() as connection:
        # somebody's first login twice at once: one of them creates the account and the other one finds it
        account = await _known(context, connection, person, ip_address)
        if account is None and await _create(context, connection, person, ip_address):
            account = await accounts.find_by_email(connection, person.email)
        account = account or await _known(context, connection, person, ip_address)
        if account is not None and account.is_live and account.google_subject == person.subject:
            return await log_in(context, connection, account, METHOD, ip_address)
        await note_failure(connection, account, METHOD, ip_address)
    if account is not None and account.is_live and account.google_subject is None:
        raise google_link.needs_password()
    raise unauthorized("This Google account cannot log in here")


async def person_of(context: Context, jwks: Jwks, id_token: str) -> Person:
    """Who Google says it is.

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
    return _person(claims)


def _person(claims: dict[str, Any]) -> Person:
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
    is_certain = google_link.is_authority(address, claims.get("hd"))
    return Person(subject, address, name[:MAX_NAME] if isinstance(name, str) else "", is_certain)


async def _known(
    context: Context, connection: AsyncConnection, person: Person, ip_address: str | None
) -> AnyRow | None:
    """The account of this Google account, else the one of its address; that is linked where Google is to say so.

    An account that belongs to another Google account stays with that one.
    """
    account = await accounts.find_by_google(connection, person.subject)
    if account is not None:
        return account
    account = await accounts.find_by_email(connection, person.email)
    if account is None or not account.is_live or account.google_subject is not None or not person.is_certain:
        return account
    await google_link.link(context, connection, account, person.subject, "google", ip_address)
    return await accounts.find_by_email(connection, person.email)


async def _create(context: Context, connection: AsyncConnection, person: Person, ip_address: str | None) -> bool:
    created = await create_owner(
        connection,
        email=person.email,
        password_hash=None,
        display_name=person.name,
        ip_address=ip_address,
        google_subject=person.subject,
    )
    if created is None:
        return False
    mail = mails.welcome(context.options.public_url.rstrip("/"))
    await outbox.post(context, connection, to=person.email, subject=mail.subject, text=mail.text)
    return True
