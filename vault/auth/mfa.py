"""Switching the second factor on and off, and meeting its challenge at a login."""

from vault.audit.write import write_for
from vault.auth import accounts, challenges, issue, lockout, places, second_factor
from vault.auth.caller import Caller
from vault.auth.origin import at_address
from vault.auth.passwords import verify_password
from vault.auth.schemas import TokenReply
from vault.auth.service import note_failure
from vault.context import Context
from vault.errors import bad_request, conflict, unauthorized

_WRONG = "The code is wrong, used or expired"
_CHALLENGE_OVER = "The login is used up or expired; log in again"


async def status(context: Context, caller: Caller) -> bool:
    """Whether logins ask for a second factor."""
    async with context.database.begin() as connection:
        factor = await second_factor.find(connection, caller.id)
    return factor is not None and factor.is_confirmed


async def setup(context: Context, caller: Caller) -> tuple[str, str]:
    """A new secret, and its URI for an authenticator app; Problem 409 when a second factor is on already."""
    secret, sealed = await second_factor.sealed_secret(context, caller.id)
    async with context.database.begin() as connection:
        account = await accounts.find_by_id(connection, caller.id)
        if account is None:
            raise unauthorized()
        if not await second_factor.begin(connection, caller.id, sealed):
            raise conflict("A second factor is set up already; disable it first")
        await write_for(connection, caller, "mfa.setup", "user", caller.id)
    return secret, second_factor.uri(secret, account.email)


async def confirm(context: Context, caller: Caller, code: str) -> list[str]:
    """Switch the second factor on and return the recovery codes, the only time; Problem 400 for a wrong code."""
    async with context.database.begin() as connection:
        factor = await second_factor.find(connection, caller.id)
    if factor is None:
        raise bad_request("Begin with POST /v1/auth/mfa/setup")
    if factor.is_confirmed:
        raise conflict("A second factor is set up already")
    subject = lockout.second_factor(caller.id)
    async with lockout.counted(context.database, subject):
        step = await second_factor.step_of(context, factor, code)
        if step is None:
            raise bad_request(_WRONG, code="is wrong")
        async with context.database.begin() as connection:
            codes = await second_factor.confirm(connection, factor, step)
            if codes is None:
                raise conflict("The setup was begun anew or confirmed just now")
            await write_for(connection, caller, "mfa.enable", "user", caller.id)
            await lockout.passed(connection, subject)
            return codes


async def verify(context: Context, token: str, code: str, ip_address: str | None) -> TokenReply:
    """The token that a login was promised, for a TOTP or recovery code.

    Problem 401 for a wrong code or a challenge that is over, 429 after too many wrong codes.
    """
    async with context.database.logins.begin() as connection:
        challenge = await challenges.find(connection, token)
        factor = await second_factor.find(connection, challenge.user_id) if challenge is not None else None
    if challenge is None or factor is None or not factor.is_confirmed:
        raise unauthorized(_CHALLENGE_OVER)
    # by the person alone: who gets here knew the password, and whoever else fails at this address did not
    subject = lockout.second_factor(challenge.user_id)
    async with lockout.counted(context.database.logins, subject):
        async with context.database.logins.begin() as connection:
            if not await challenges.count_try(connection, token):
                raise unauthorized(_CHALLENGE_OVER)
        step = await second_factor.step_of(context, factor, code)
        async with context.database.logins.begin() as connection:
            account = await accounts.find_by_id(connection, challenge.user_id)
            is_same = account is not None and account.is_live and account.token_version == challenge.token_version
            if account is None or not is_same:
                raise unauthorized(_CHALLENGE_OVER)
            how = await second_factor.take(connection, account.id, code, step)
            if how is not None and await challenges.meet(connection, token):
                reply = await issue.for_user(
                    context,
                    connection,
                    account.id,
                    account.org_id,
                    account.token_version,
                    f"{challenge.method}+{how}",
                    ip_address,
                )
                await places.remember_address(connection, account.id, account.email, ip_address)
                await lockout.passed(connection, subject)
                return reply
            await note_failure(connection, account, "mfa", ip_address)
        raise unauthorized(_WRONG)


async def disable(context: Context, caller: Caller, code: str | None, password: str | None) -> None:
    """Switch the second factor off with one of its codes or the password; Problem 400 if that is wrong."""
    if code is None and password is None:
        raise bad_request("Send code or password")
    async with context.database.begin() as connection:
        account = await accounts.find_by_id(connection, caller.id)
        factor = await second_factor.find(connection, caller.id)
    if account is None or factor is None or not factor.is_confirmed:
        raise bad_request("No second factor is set up")
    subject = lockout.current_password(caller.id) if code is None else lockout.second_factor(caller.id)
    async with lockout.counted(context.database, subject):
        step = await second_factor.step_of(context, factor, code) if code is not None else None
        is_right = code is None and await verify_password(
            account.password_hash, password or "", at_address(caller.ip_address, is_known=True)
        )
        async with context.database.begin() as connection:
            how = await second_factor.take(connection, caller.id, code, step) if code is not None else None
            if is_right or how is not None:
                await second_factor.remove(connection, caller.id)
                await write_for(connection, caller, "mfa.disable", "user", caller.id, method=how or "password")
                await lockout.passed(connection, subject)
                return
            await write_for(connection, caller, "auth.failure", "user", caller.id, method="mfa_disable")
        raise bad_request(_WRONG if code is not None else "The password is wrong")
