"""Write an audit row: always inside the transaction that has the effect, so neither exists without the other."""

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID, uuid4

import structlog
from sqlalchemy import Table, bindparam, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from vault.audit.models import AuditEvent, AuditPending
from vault.auth.caller import Caller
from vault.errors import unavailable
from vault.trouble import trouble

log = structlog.get_logger(__name__)

# the tables, not the models: the ORM's way to the same statement costs three times as much
_EVENTS, _PENDING = cast(Table, AuditEvent.__table__), cast(Table, AuditPending.__table__)
# one statement for both rows: no event that the sequencer would never find
_COLUMNS = (
    *("id", "org_id", "actor_type", "actor_id", "action"),
    *("resource_type", "resource_id", "details", "ip_address"),
)
_WRITTEN = (
    insert(_EVENTS)
    .values({column: bindparam(column) for column in _COLUMNS})
    .returning(_EVENTS.c.id, _EVENTS.c.sequence, _EVENTS.c.org_id)
    .cte("written")
)
_INSERT = insert(_PENDING).from_select(["event_id", "sequence", "org_id"], select(_WRITTEN))


async def write(
    transaction: AsyncConnection | AsyncSession,
    *,
    org_id: UUID,
    actor_type: str,
    actor_id: str,
    action: str,
    resource_type: str,
    resource_id: UUID | str,
    details: Mapping[str, Any] | None = None,
    ip_address: str | None = None,
) -> None:
    """Insert one event (`action` is noun.verb, as `secret.read`).

    503 when the database takes no events: the transaction is lost then, and with it the effect.
    """
    event = {
        "id": uuid4(),
        "org_id": org_id,
        "actor_type": actor_type,
        "actor_id": actor_id,
        "action": action,
        "resource_type": resource_type,
        "resource_id": str(resource_id),
        "details": dict(details or {}),
        "ip_address": ip_address,
    }
    try:
        await transaction.execute(_INSERT, event)
    except DBAPIError as error:
        if trouble(error) is not None:
            raise  # the database itself is away, busy or full, which has an answer of its own
        log.error("the audit log cannot be written", error=type(error.orig).__name__, action=action)
        raise unavailable("The audit log cannot be written; nothing was done") from None


async def write_for(
    transaction: AsyncConnection | AsyncSession,
    caller: Caller,
    action: str,
    resource_type: str,
    resource_id: UUID | str,
    **details: Any,
) -> None:
    """The same, by an authenticated caller in its own organisation."""
    await write(
        transaction,
        org_id=caller.org_id,
        actor_type=caller.kind,
        actor_id=str(caller.id),
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        details=details,
        ip_address=caller.ip_address,
    )


async def write_in(
    transaction: AsyncConnection | AsyncSession,
    caller: Caller,
    org_id: UUID,
    action: str,
    resource_type: str,
    resource_id: UUID | str,
    **details: Any,
) -> None:
    """The same where it has the effect; whoever comes from another organisation finds it in its own as well."""
    await write(
        transaction,
        org_id=org_id,
        actor_type=caller.kind,
        actor_id=str(caller.id),
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        details=details,
        ip_address=caller.ip_address,
    )
    if caller.org_id != org_id:
        elsewhere = details | {"org_id": str(org_id)}
        await write_for(transaction, caller, action, resource_type, resource_id, **elsewhere)
