"""A principal as a request of its own would find it now, for people who ask what it may do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.caller import Caller
from vault.auth.scopes import path_scopes

_AGENT = text(
    """
    SELECT scopes, vault_ids, intents_api_enabled, is_active, deleted_at, expires_at
    FROM agents WHERE id = :id AND org_id = :org_id
    """
)
_USER = text(
    """
    SELECT m.role, u.is_active, u.deleted_at
    FROM memberships m JOIN users u ON u.id = m.user_id
    WHERE m.user_id = :id AND m.org_id = :org_id
    """
)


@dataclass(frozen=True)
class Principal:
    """The caller it would be, and until when it may call at all.

    `barred` says why every request of it is refused, None when nothing stands in its way but `expires_at`.
    `is_blocked` says that the organisation's rules on addresses keep it out.
    """

    caller: Caller
    barred: str | None
    expires_at: datetime | None
    is_blocked: bool = False

    def barred_at(self, moment: datetime) -> str | None:
        """Why it may not call at `moment`; None when it may."""
        if self.barred is None and self.expires_at is not None and self.expires_at <= moment:
            return "This agent has expired"
        return self.barred


async def load_principal(
    transaction: AsyncConnection,
    org_id: UUID,
    kind: Literal["agent", "user"],
    principal_id: UUID,
    ip_address: str | None,
) -> Principal | None:
    """A user (all of its rights, as when logged in) or agent of the organisation; None when it has none such."""
    statement = _AGENT if kind == "agent" else _USER
    found = await transaction.execute(statement, {"id": principal_id, "org_id": org_id})
    row = found.mappings().one_or_none()
    if row is None:
        return None
    barred = None
    if row["deleted_at"] is not None:
        barred = f"This {kind} was deleted"
    elif not row["is_active"]:
        barred = f"This {kind} is deactivated"
    is_agent = kind == "agent"
    caller = Caller(
        kind=kind,
        id=principal_id,
        org_id=org_id,
        role=None if is_agent else row["role"],
        credential="jwt",
        scopes=path_scopes(row["scopes"]) if is_agent else None,
        vault_ids=tuple(row["vault_ids"]) if is_agent else (),
        intents_api_enabled=is_agent and row["intents_api_enabled"],
        ip_address=ip_address,
    )
    return Principal(caller, barred, row["expires_at"] if is_agent else None)
