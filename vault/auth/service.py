"""People: signing up, confirming the address, logging in, and the very first account."""

import hashlib
import secrets
from urllib.parse import quote
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write
from vault.auth import accounts, issue, outbox
from vault.auth.emails import normalise, parse_email
from vault.auth.password_rule import MAX_BYTES, fault
from vault.auth.passwords import hash_password, needs_rehash, verify_password
from vault.auth.schemas import TokenReply
from vault.context import Context
from vault.db import Database
from vault.errors import bad_request, unauthorized
from vault.orgs import repository as orgs

NOBODYS_ORG = UUID(int=0)

_VERIFY_TEXT = """Welcome to Talon.

Open this link to confirm your e-mail address and create your account:
{link}

If the link does not open, use this token: {token}

It works once, for 24 hours. If you did not sign up, ignore this mail: nothing is created without it.
"""
_KNOWN_TEXT = """Somebody, perhaps you, tried to sign up at Talon with this e-mail address.

There is an account with this address already, so nothing was changed. Log in at {link}
"""


async def signup(context: Context, email: str, password: str, display_name: str) -> str:
    """Start a signup and return the stored form of the address.

    Problem 400 for a malformed address or a weak password. The answer, the work and the number of mails are the
    same whether or not the address has an account.
    """
    address = parse_email(email)
    weakness = fault(password)
    if weakness:
        raise bad_request(weakness, password=weakness)
    password_hash = await hash_password(password)
    token = secrets.token_urlsafe(32)
    public_url = context.options.public_url.rstrip("/")
    async with context.database.begin() as connection:
        if await accounts.find_by_email(connection, address):
            text = _KNOWN_TEXT.format(link=public_url)
            await outbox.post(connection, to=address, subject="Your Talon account", text=text)
        else:
            await accounts.add_signup(
                connection,
                token_hash=_digest(token),
                email=address,
                password_hash=password_hash,
                display_name=display_name,
            )
            link = f"{public_url}/verify-email?token={quote(token)}"
            text = _VERIFY_TEXT.format(link=link, token=token)
            await outbox.post(connection, to=address, subject="Confirm your e-mail address", text=text)
    return address


async def verify_email(context: Context, token: str, ip_address: str | None) -> TokenReply:
    """Create the account and its organisation from a mailed token and log the person in; Problem 400 if it is
    unknown, used or expired."""
    async with context.database.begin() as connection:
        waiting = await accounts.take_signup(connection, _digest(token))
        created = None
        if waiting is not None:
            created = await _create_owner(
                connection,
                email=waiting.email,
                password_hash=waiting.password_hash,
                display_name=waiting.display_name,
                ip_address=ip_address,
            )
        if created is None:
            raise bad_request("The token is invalid, used or expired")
        user_id, org_id = created
        return await issue.for_user(context, connection, user_id, org_id, 1, "verify_email", ip_address)


async def login(context: Context, email: str, password: str, ip_address: str | None) -> TokenReply:
    """A token for the right password; Problem 401 otherwise, after the same work for unknown addresses."""
    address = normalise(email)
    if len(password.encode()) > MAX_BYTES:
        raise unauthorized("Invalid credentials")
    async with context.database.begin() as connection:
        account = await accounts.find_by_email(connection, address)
    # No connection is held while Argon2 works: a burst of logins must not take the pool from signing.
    matched = await verify_password(account.password_hash if account else None, password)
    stronger = None
    if account is not None and matched and needs_rehash(account.password_hash):
        stronger = await hash_password(password)
    async with context.database.begin() as connection:
        current = await accounts.find_by_email(connection, address)
        # The password may have been changed, or the account closed, while Argon2 was at work.
        unchanged = account is not None and current is not None and current.password_hash == account.password_hash
        if current is not None and matched and unchanged and current.is_live:
            if stronger:
                await accounts.set_password_hash(connection, current.id, stronger)
            return await issue.for_user(
                context,
                connection,
                current.id,
                current.org_id,
                current.token_version,
                "password",
                ip_address,
            )
        await write(
            connection,
            org_id=current.org_id if current else NOBODYS_ORG,
            actor_type="user" if current else "anonymous",
            actor_id=str(current.id) if current else "unknown",
            action="auth.failure",
            resource_type="user",
            resource_id=current.id if current else "unknown",
            details={"method": "password"},
            ip_address=ip_address,
        )
    raise unauthorized("Invalid credentials")


async def create_first_user(database: Database, email: str, password: str) -> bool:
    """Make the installation's first human: verified, owner of an organisation, platform admin.

    Returns False, and changes nothing, if the address has an account already. Problem 400 for a malformed address
    or an empty password (the operator's choice is not held to the signup rule).
    """
    address = parse_email(email)
    if not password or len(password.encode()) > MAX_BYTES:
        raise bad_request(f"The password must have 1 to {MAX_BYTES} bytes")
    async with database.begin() as connection:
        if await accounts.find_by_email(connection, address):
            return False
    password_hash = await hash_password(password)
    async with database.begin() as connection:
        created = await _create_owner(
            connection,
            email=address,
            password_hash=password_hash,
            display_name="",
            ip_address=None,
            is_platform_admin=True,
        )
        return created is not None


async def _create_owner(
    connection: AsyncConnection,
    *,
    email: str,
    password_hash: str | None,
    display_name: str,
    ip_address: str | None,
    is_platform_admin: bool = False,
) -> tuple[UUID, UUID] | None:
    user_id = await accounts.create_user(
        connection,
        email=email,
        password_hash=password_hash,
        display_name=display_name,
        is_platform_admin=is_platform_admin,
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


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
