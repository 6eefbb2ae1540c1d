"""List, create and delete an organisation's rules on addresses; nobody shuts himself out.

Each change closes the gate to signatures: one under way is committed before the change, the next one sees it.
"""

from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import Table, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write_for
from vault.auth.again import still_admin
from vault.auth.caller import Caller
from vault.columns import AnyRow
from vault.errors import conflict, not_found
from vault.freezes import gate
from vault.orgs import repository as orgs
from vault.orgs.models import IpRule
from vault.schemas import Page
from vault.security.blocked import blocks
from vault.security.schemas import CreateIpRuleRequest, IpRuleResponse

MAX_RULES = 200

_TABLE = cast(Table, IpRule.__table__)


async def listed(connection: AsyncConnection, caller: Caller, page: Page) -> list[IpRuleResponse]:
    """A page of the organisation's rules, oldest first."""
    query = select(_TABLE).where(_TABLE.c.org_id == caller.org_id).order_by(_TABLE.c.created_at, _TABLE.c.id)
    return [_shown(row) for row in await connection.execute(query.limit(page.limit).offset(page.offset))]


async def create(connection: AsyncConnection, caller: Caller, request: CreateIpRuleRequest) -> IpRuleResponse:
    """Add a rule; Problem 409 when it would keep its author out, or there are too many."""
    await orgs.lock(connection, caller.org_id)
    await still_admin(connection, caller)
    count = select(func.count()).select_from(_TABLE).where(_TABLE.c.org_id == caller.org_id)
    if (await connection.execute(count)).scalar_one() >= MAX_RULES:
        raise conflict(f"An organisation has at most {MAX_RULES} rules; delete one first")
    values = {
        "id": uuid4(),
        "org_id": caller.org_id,
        "rule_type": "allow" if request.rule_type == "allow" else "deny",
        "cidr": request.cidr,
        "applies_to": request.applies_to,
        "label": request.label if request.label is not None else request.description,
        "created_by": caller.id,
    }
    await gate.close(connection)
    row = (await connection.execute(insert(_TABLE).values(**values).returning(*_TABLE.c))).one()
    await _require_author_inside(connection, caller)
    await write_for(connection, caller, "ip_rule.create", "ip_rule", row.id, **_audited(row))
    return _shown(row)


async def remove(connection: AsyncConnection, caller: Caller, rule_id: UUID) -> None:
    """Delete a rule; Problem 409 when what is left would keep the caller out."""
    await orgs.lock(connection, caller.org_id)
    await still_admin(connection, caller)
    await gate.close(connection)
    statement = delete(_TABLE).where(_TABLE.c.id == rule_id, _TABLE.c.org_id == caller.org_id)
    row = (await connection.execute(statement.returning(*_TABLE.c))).one_or_none()
    if row is None:
        raise not_found("No such rule")
    await _require_author_inside(connection, caller)
    await write_for(connection, caller, "ip_rule.delete", "ip_rule", rule_id, **_audited(row))


async def _require_author_inside(connection: AsyncConnection, caller: Caller) -> None:
    """Asked after the change, with the organisation locked: two changes at once cannot shut anybody out together."""
    if await blocks(connection, caller.org_id, "user", caller.ip_address):
        raise conflict(
            "This would shut you out: your own address would be blocked."
            " First add an allow rule for it, or choose another block"
        )


def _audited(row: AnyRow) -> dict[str, Any]:
    return {"rule_type": row.rule_type, "cidr": str(row.cidr), "applies_to": row.applies_to, "label": row.label}


def _shown(row: AnyRow) -> IpRuleResponse:
    return IpRuleResponse(
        id=str(row.id),
        org_id=str(row.org_id),
        rule_type=row.rule_type,
        cidr=str(row.cidr),
        label=row.label,
        applies_to=row.applies_to,
        created_by=str(row.created_by),
        created_at=row.created_at,
    )
