"""Logging in with a password."""

import secrets

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write
from vault.auth import accounts, lockout, mails, outbox, places
from vault.auth.emails import normalise
from vault.auth.keys import digest_of as token_digest
from vault.auth.origin import Origin, at_address
from vault.auth.password_rule import MAX_BYTES
from vault.auth.passwords import Match, hash_password, needs_rehash, verify_password
from vault.auth.schemas import KnownDeviceReply, TokenReply
from vault.auth.service import NOBODYS_ORG, log_in, note_failure
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import Problem, bad_request, unauthorized
from vault.limits.hit import hit

TOO_MANY = (
    "Too many log-ins at this account. If your password was right, a mail with a link may be on its way that lets"
    " this device in; otherwise"
)


async def login(context: Context, email: str, password: str, origin: Origin) -> TokenReply:
    """A token for the right password; Problem 401 otherwise, after the same work for unknown addresses, and 429 for
    accounts and addresses that failed too often.

    Which of the limits it was, and whether there is such an account or it was here before, no answer tells.
    """
    try:
        return await _try(context, email, password, origin)
    except Problem as problem:
        if problem.status != 429:
            raise
        raise lockout.locked(problem.headers["Retry-After"], TOO_MANY) from None


async def _try(context: Context, email: str, password: str, origin: Origin) -> TokenReply:
    address = normalise(email)
    if len(password.encode()) > MAX_BYTES:
        raise unauthorized("Invalid credentials")
    async with context.database.logins.begin() as connection:
        account = await accounts.find_by_email(connection, address)
        place = await places.find(connection, address, origin)
    # what counts, and when, is the same wherever the account is known: an address is shared with those who guess
    if not (place.is_device or origin.is_host):
        await hit(context, "auth", place.name, address)
    subjects = lockout.of_login(address, place, origin.address)
    async with lockout.counted(context.database.logins, *subjects) as tried:
        # No connection is held while Argon2 works: a burst of logins must not take the pool from signing.
        matched = await verify_password(account.password_hash if account else None, password, place)
        if tried.wait_s and not (matched and place.is_known):
            raise await _turned_away(context, address, account if matched else None, origin, tried.wait_s)
        stronger = None
        is_as_typed = matched is Match.AS_TYPED
        if account is not None and matched and (is_as_typed or needs_rehash(account.password_hash)):
            stronger = await hash_password(password, place)
        async with context.database.logins.begin() as connection:
            # somebody may be changing the password just now: the one that was right may be wrong by then
            is_right = account is not None and matched and await _holds(connection, account)
            current = await accounts.find_by_email(connection, address)
            if current is not None and is_right and _is_same(account, current):
                if stronger:
                    await accounts.set_password_hash(connection, current.id, stronger)
                reply = await log_in(context, connection, current, "password", origin.address)
                await lockout.passed(connection, *tried.subjects)
                return reply
            await note_failure(connection, current, "password", origin.address)
        raise unauthorized("Invalid credentials")


async def know_device(context: Context, token: str, ip_address: str | None) -> KnownDeviceReply:
    """Know the device that a mailed token comes from, and its address; Problem 400 if it is unknown, used or expired.

    Whoever reads the mailbox is the person; the password is asked for all the same.
    """
    async with context.database.logins.begin() as connection:
        taken = await accounts.take_token(connection, token_digest(token), accounts.KNOW_DEVICE)
        account = await accounts.find_by_id(connection, taken.user_id) if taken is not None else None
        if account is None or not account.is_live:
            raise bad_request("The token is invalid, used or expired")
        device = await places.add_device(connection, account.id)
        await places.remember_address(connection, account.id, account.email, ip_address)
        # what others tried from here is not the person's fault
        await lockout.passed(connection, lockout.account(account.email, at_address(ip_address)))
        await write(
            connection,
            org_id=account.org_id,
            actor_type="user",
            actor_id=str(account.id),
            action="user.know_device",
            resource_type="user",
            resource_id=account.id,
            ip_address=ip_address,
        )
    return KnownDeviceReply(device_token=device, expires_in=places.DEVICE_DAYS * 86_400)


async def _turned_away(
    context: Context, address: str, matched: AnyRow | None, origin: Origin, wait_s: int
) -> Problem:
    """The answer to whoever is not let in; who was right gets a mail besides, and neither answer nor work tells."""
    token = secrets.token_urlsafe(32)
    mail = mails.know_device(context.options.public_url.rstrip("/"), token)
    async with context.strangers_mails, context.database.logins.begin() as connection:
        current = await accounts.find_by_email(connection, address)
        is_bearable = await outbox.may_post(connection, to=address, subject=mail.subject)
        is_right = current is not None and _is_same(matched, current)
        # the same statements for everybody; what nobody is to have is taken back
        attempt = await connection.begin_nested()
        await accounts.add_device_link(
            connection,
            token_hash=token_digest(token),
            email=address,
            user_id=current.id if current is not None else NOBODYS_ORG,
        )
        await outbox.post(context, connection, to=address, subject=mail.subject, text=mail.text)
        if is_right and is_bearable:
            await attempt.commit()
        else:
            await attempt.rollback()
        method = "password_from_unknown_device" if is_right else "password"
        await note_failure(connection, current, method, origin.address)
    return lockout.locked(wait_s)


async def _holds(connection: AsyncConnection, looked_at: AnyRow) -> bool:
    return await accounts.hold_password(connection, looked_at.id, looked_at.password_hash)


def _is_same(looked_at: AnyRow | None, current: AnyRow) -> bool:
    """The password may have been changed, or the account closed, while Argon2 was at work."""
    is_unchanged = looked_at is not None and current.password_hash == looked_at.password_hash
    return is_unchanged and bool(current.is_live)
