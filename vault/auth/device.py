"""Logging a command line in: it shows a code, a signed-in person says yes, and it gets a token for a day."""

import secrets
from typing import Literal
from urllib.parse import quote

from signer.token_order import LONGEST_LIFETIME_S
from vault.audit.write import write_for
from vault.auth import accounts, device_codes, issue, lockout
from vault.auth.caller import Caller
from vault.auth.device_schemas import DeviceCodeReply, DeviceStatusReply, DeviceTokenReply
from vault.auth.emails import parse_email
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import conflict, forbidden, not_found, unavailable

TOKEN_S = LONGEST_LIFETIME_S["user"]
INTERVAL_S = 5
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
MAX_COLLISIONS = 5

_UNKNOWN = "No such code, or it has expired"


async def begin(context: Context, client_id: str, email: str | None) -> DeviceCodeReply:
    """Start a login; with `email` only that account may approve it. Problem 400 for a malformed address."""
    address = parse_email(email) if email and email.strip() else None
    device_code = secrets.token_urlsafe(32)
    for _ in range(MAX_COLLISIONS):
        code = device_codes.user_code()
        async with context.database.logins.begin() as connection:
            if await device_codes.add(
                connection, device_code=device_code, code=code, client_id=client_id, email=address
            ):
                break
    else:
        raise unavailable("Too many logins wait at the moment")
    return DeviceCodeReply(
        device_code=device_code,
        user_code=code,
        verification_uri=f"{context.options.public_url.rstrip('/')}/cli/verify?code={quote(code)}",
        expires_in=device_codes.LIFE_S,
        interval=INTERVAL_S,
    )


async def poll(context: Context, device_code: str, grant_type: str, ip_address: str | None) -> DeviceTokenReply:
    """The token, once, or in `error` why there is none: command lines take a 4xx for a reason to ask again."""
    if grant_type != GRANT:
        return DeviceTokenReply(error="unsupported_grant_type")
    async with context.database.logins.begin() as connection:
        approved = await device_codes.redeem(connection, device_code)
        if approved is None:
            return DeviceTokenReply(error=_error(await device_codes.poll(connection, device_code)))
        account = await accounts.find_by_id(connection, approved.user_id)
        # a password changed since, or an account closed, takes the yes back
        if account is None or not account.is_live or account.token_version != approved.token_version:
            return DeviceTokenReply(error="access_denied")
        token = await issue.for_user(
            context,
            connection,
            account.id,
            account.org_id,
            account.token_version,
            "device",
            ip_address,
            ttl_s=TOKEN_S,
        )
    return DeviceTokenReply(
        access_token=token.access_token,
        token_type=token.token_type,
        expires_in=token.expires_in,
        email=account.email,
        user_id=str(account.id),
        org_id=str(account.org_id),
    )


async def status(context: Context, typed: str, ip_address: str | None) -> DeviceStatusReply:
    """How the login of a user code is, for anybody; Problem 404 if unknown, 429 for guessing."""
    guesses = lockout.code_guesses(ip_address)
    async with lockout.counted(context.database.logins, guesses):
        async with context.database.logins.begin() as connection:
            found = await device_codes.find(connection, device_codes.normalise_code(typed))
            if found is None:
                raise not_found(_UNKNOWN)
            await lockout.passed(connection, guesses)
        decided = "approved" if found.status == "used" else found.status
        is_over = not found.is_live and found.status in ("pending", "approved")
        return DeviceStatusReply(
            user_code=found.user_code, status="expired" if is_over else decided, expires_at=found.expires_at
        )


async def decide(context: Context, caller: Caller, typed: str, answer: Literal["approved", "denied"]) -> None:
    """Say yes or no to a command line.

    Problem 404 for an unknown or expired code, 403 if it was asked for another account or the caller came with an
    API key (the token would outlive it), 409 if it was decided before, 429 for guessing.
    """
    if caller.credential == "api_key":
        raise forbidden("Sign in with your account for this; an API key is not enough")
    # by the person alone, who has proved to be one: what others at this address guess is not his doing
    guesses = lockout.code_guesses_of(caller.id)
    async with lockout.counted(context.database.logins, guesses), context.database.logins.begin() as connection:
        code = device_codes.normalise_code(typed)
        found = await device_codes.find(connection, code)
        if found is None or not found.is_live:
            raise not_found(_UNKNOWN)
        if found.status != "pending":
            raise conflict(f"This code was {'denied' if found.status == 'denied' else 'approved'} before")
        decided = await device_codes.decide(connection, code, caller.id, answer)
        if decided is None:
            raise forbidden("This code was asked for another account")
        verb = "approve" if answer == "approved" else "deny"
        await write_for(connection, caller, f"device.{verb}", "user", caller.id, client_id=decided.client_id)
        await lockout.passed(connection, guesses)


def _error(found: AnyRow | None) -> Literal["authorization_pending", "slow_down", "expired_token", "access_denied"]:
    if found is None or found.status == "used":
        return "expired_token"
    if found.status == "denied":
        return "access_denied"
    if not found.is_live:
        return "expired_token"
    return "slow_down" if found.is_early else "authorization_pending"
