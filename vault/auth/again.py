"""Ask a second time whether a caller's credential counts: behind the locks, where seconds may have gone by."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth import repository
from vault.auth.caller import Caller
from vault.auth.dependencies import org_admin
from vault.auth.scopes import path_scopes
from vault.errors import unauthorized
from vault.security.blocked import refusal


async def still_admin(transaction: AsyncConnection, caller: Caller) -> None:
    """Raise 401 or 403 unless the caller is still an owner or admin of the organisation."""
    await org_admin(await still(transaction, caller))


async def still(transaction: AsyncConnection, caller: Caller) -> Caller:
    """The caller with the rights it has now.

    Raises what a new request with the same credential would get: 401 once the credential was revoked, rotated or
    expired by a human, or its principal deactivated or moved; 403 for an address that is blocked by now. A token
    that merely ran out since the request was accepted counts: its end was known then.
    """
    if caller.is_agent:
        row = await repository.agent_again(transaction, caller)
    else:
        row = await repository.user_again(transaction, caller)
    if row is None:
        raise unauthorized("The credential was ended while this request waited; nothing was done")
    if row.is_address_blocked:
        raise refusal()
    if caller.is_agent:
        return replace(
            caller,
            scopes=path_scopes(row.scopes),
            vault_ids=tuple(row.vault_ids),
            intents_api_enabled=row.intents_api_enabled,
        )
    return replace(
        caller,
        role=row.role,
        scopes=path_scopes(row.scopes or ()),
        is_platform_admin=row.is_platform_admin,
    )
