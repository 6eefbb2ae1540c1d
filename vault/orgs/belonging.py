"""Who makes something that acts for an organisation belongs to it when that is committed."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.caller import Caller
from vault.errors import unauthorized

_HOLD: Final = text("SELECT FROM organisations WHERE id = :org_id FOR SHARE")
_BELONGS: Final = {
    "user": text(
        """
        SELECT EXISTS (
            SELECT FROM memberships m JOIN users u ON u.id = m.user_id
            WHERE m.user_id = :id AND m.org_id = :org_id AND u.is_active AND u.deleted_at IS NULL
        )
        """
    ),
    "agent": text(
        "SELECT EXISTS (SELECT FROM agents WHERE id = :id AND org_id = :org_id AND is_active AND deleted_at IS NULL)"
    ),
}


async def require_belonging(transaction: AsyncConnection, caller: Caller) -> None:
    """Raise 401 unless the caller still belongs to the organisation, and let that be so until the transaction ends.

    Call it before anything is made or locked. Whoever closes an organisation, or leaves it, looks for what is left
    there: either he waits for us and finds it, or we waited for him and end here.
    """
    await transaction.execute(_HOLD, {"org_id": caller.org_id})
    # a statement of its own, behind the lock: it sees what was committed while we waited
    found = await transaction.execute(_BELONGS[caller.kind], {"id": caller.id, "org_id": caller.org_id})
    if not found.scalar_one():
        raise unauthorized()
