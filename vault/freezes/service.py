"""Freeze and unfreeze: a row that is there or not, changed with the gate closed, and its audit row."""

from typing import cast
from uuid import UUID

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.agents.models import Agent
from vault.audit.write import write_for
from vault.auth.again import still
from vault.auth.caller import Caller
from vault.auth.dependencies import org_admin, platform_admin
from vault.columns import AnyRow
from vault.errors import not_found
from vault.freezes import gate
from vault.freezes.models import Freeze
from vault.freezes.schemas import FreezeReply, Scope

_TABLE = cast(Table, Freeze.__table__)


async def require_agent(connection: AsyncConnection, caller: Caller, agent_id: UUID) -> None:
    """Problem 404 unless the organisation has this agent. Its row is left alone: signatures hold it."""
    query = select(Agent.id).where(Agent.id == agent_id, Agent.org_id == caller.org_id, Agent.deleted_at.is_(None))
    if (await connection.execute(query)).first() is None:
        raise not_found("No such agent")


async def freeze(
    connection: AsyncConnection, caller: Caller, scope: Scope, target_id: UUID, reason: str
) -> FreezeReply:
    """No signature from this transaction's commit on; what is frozen already stays as it was said first."""
    await gate.close(connection)
    await _require_still(connection, caller, scope)
    found = await gate.find(connection, target_id)
    if found is None:
        values = {"target_id": target_id, "scope": scope, "frozen_by": caller.id, "reason": reason}
        await connection.execute(insert(_TABLE).values(values))
        found = await gate.find(connection, target_id)
        await write_for(connection, caller, f"{scope}.freeze", scope, target_id, reason=reason)
    return shown(found)


async def unfreeze(
    connection: AsyncConnection, caller: Caller, scope: Scope, target_id: UUID, reason: str | None
) -> FreezeReply:
    """Lift the stop; what is not frozen stays so."""
    gone = delete(_TABLE).where(_TABLE.c.target_id == target_id).returning(*_TABLE.c)
    lifted = (await connection.execute(gone)).one_or_none()
    # behind it: it waits where somebody else closes the gate
    await _require_still(connection, caller, scope)
    if lifted is not None:
        details = {"reason": reason, "was_frozen_by": f"user:{lifted.frozen_by}", "was_frozen_for": lifted.reason}
        await write_for(connection, caller, f"{scope}.unfreeze", scope, target_id, **details)
    return shown(None)


async def _require_still(connection: AsyncConnection, caller: Caller, scope: Scope) -> None:
    """401 or 403 when the caller's rights were ended while this waited."""
    now = await still(connection, caller)
    await (platform_admin if scope == "instance" else org_admin)(now)


async def state(connection: AsyncConnection, target_id: UUID) -> FreezeReply:
    """Whether this very thing is frozen."""
    return shown(await gate.find(connection, target_id))


def shown(found: AnyRow | None) -> FreezeReply:
    """A freeze as people and agents see it."""
    if found is None:
        return FreezeReply(frozen=False)
    return FreezeReply(frozen=True, **gate.members(found))
