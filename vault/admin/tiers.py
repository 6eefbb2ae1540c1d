"""Tiers as the operator sets them, and which organisation has which."""

from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.admin.schemas import (
    BillingTierResponse,
    OrgLimitsResponse,
    PutTierRequest,
    SetBillingTierRequest,
    TierResponse,
    UpdateOrgLimitsRequest,
)
from vault.audit.write import write, write_for
from vault.auth.caller import Caller
from vault.columns import AnyRow
from vault.errors import bad_request, conflict, not_found
from vault.orgs.models import Organisation, Tier
from vault.schemas import Page, format_time

FREE = "free"
# clients may name these whether or not the operator has defined them: an undefined one counts as the default tier
CONTRACT = frozenset({FREE, "pro", "business", "enterprise"})
MAX_TIERS = 100

_TIERS = cast(Table, Tier.__table__)
_ORGS = cast(Table, Organisation.__table__)
_LIMITS = (
    *(_ORGS.c.id, _ORGS.c.tier, _ORGS.c.tier_until, _ORGS.c.free_tier_override, _ORGS.c.is_sponsored),
    *(_ORGS.c.max_vaults, _ORGS.c.max_secrets, _ORGS.c.max_agents),
)
# readers go on; so there is never more than one default
_ONE_AT_A_TIME = text("LOCK TABLE tiers IN SHARE ROW EXCLUSIVE MODE")


async def listed(connection: AsyncConnection, page: Page) -> list[TierResponse]:
    """A page of tiers by name."""
    query = select(_TIERS).order_by(_TIERS.c.name).limit(page.limit).offset(page.offset)
    return [_shown(row) for row in await connection.execute(query)]


async def put(connection: AsyncConnection, caller: Caller, name: str, request: PutTierRequest) -> TierResponse:
    """Define a tier, or define it anew; it counts from the next creation on. There is one default at most."""
    await connection.execute(_ONE_AT_A_TIME)
    before = (await connection.execute(select(_TIERS).where(_TIERS.c.name == name))).one_or_none()
    count = (await connection.execute(select(func.count()).select_from(_TIERS))).scalar_one()
    if before is None and count >= MAX_TIERS:
        raise conflict(f"There are at most {MAX_TIERS} tiers; delete one first")
    if request.is_default:
        await connection.execute(update(_TIERS).where(_TIERS.c.name != name).values(is_default=False))
    values = request.model_dump()
    statement = insert(_TIERS).values(name=name, **values)
    statement = statement.on_conflict_do_update(index_elements=[_TIERS.c.name], set_=values)
    row = (await connection.execute(statement.returning(*_TIERS.c))).one()
    old = None if before is None else _shown(before).model_dump(exclude={"name"})
    await write_for(connection, caller, "tier.update", "tier", name, old=old, new=values)
    return _shown(row)


async def remove(connection: AsyncConnection, caller: Caller, name: str) -> None:
    """Undefine a tier: organisations that have it count as having the default one."""
    await connection.execute(_ONE_AT_A_TIME)
    row = (await connection.execute(delete(_TIERS).where(_TIERS.c.name == name).returning(*_TIERS.c))).one_or_none()
    if row is None:
        raise not_found("No such tier")
    await write_for(connection, caller, "tier.delete", "tier", name, old=_shown(row).model_dump(exclude={"name"}))


async def limits(connection: AsyncConnection, org_id: UUID, *, lock: bool = False) -> OrgLimitsResponse:
    """An organisation's tier and exceptions; Problem 404 for an unknown one."""
    query = select(*_LIMITS).where(_ORGS.c.id == org_id)
    query = query.with_for_update(key_share=True) if lock else query
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise not_found("No such organisation")
    return _limits(row)


async def put_limits(
    connection: AsyncConnection, caller: Caller, org_id: UUID, request: UpdateOrgLimitsRequest
) -> OrgLimitsResponse:
    """Set or take back an organisation's exceptions."""
    before = await limits(connection, org_id, lock=True)
    values = request.model_dump(include=request.model_fields_set)
    if not values:
        return before
    statement = update(_ORGS).where(_ORGS.c.id == org_id).values(**values).returning(*_LIMITS)
    row = (await connection.execute(statement)).one()
    old = {name: getattr(before, name) for name in values}
    await _audit(connection, caller, org_id, "tier.limits", old=old, new=values)
    return _limits(row)


async def assign(
    connection: AsyncConnection, caller: Caller, org_id: UUID, request: SetBillingTierRequest
) -> BillingTierResponse:
    """Give an organisation a tier for some days; `free` for good. Problem 400 for a name nobody knows."""
    defined = set((await connection.execute(select(_TIERS.c.name).limit(MAX_TIERS))).scalars())
    if request.tier not in defined | CONTRACT:
        raise bad_request(f"tier: is one of {', '.join(sorted(defined | CONTRACT))}")
    before = await limits(connection, org_id, lock=True)
    until = None if request.tier == FREE else func.now() + func.make_interval(0, 0, 0, request.duration_days)
    statement = update(_ORGS).where(_ORGS.c.id == org_id).values(tier=request.tier, tier_until=until)
    row = (await connection.execute(statement.returning(_ORGS.c.tier, _ORGS.c.tier_until))).one()
    new_until = None if row.tier_until is None else format_time(row.tier_until)
    await _audit(connection, caller, org_id, "tier.assign", old=before.tier, new=row.tier, until=new_until)
    return BillingTierResponse(org_id=str(org_id), tier=row.tier, period_end=row.tier_until)


async def _audit(connection: AsyncConnection, caller: Caller, org_id: UUID, action: str, **details: Any) -> None:
    """Told to the organisation that it is about, and to the administrator's own."""
    for told in {org_id, caller.org_id}:
        await write(
            connection,
            org_id=told,
            actor_type=caller.kind,
            actor_id=str(caller.id),
            action=action,
            resource_type="organisation",
            resource_id=org_id,
            details=details,
            ip_address=caller.ip_address,
        )


def _shown(row: AnyRow) -> TierResponse:
    return TierResponse(**row._asdict())


def _limits(row: AnyRow) -> OrgLimitsResponse:
    values = row._asdict()
    return OrgLimitsResponse(org_id=str(values.pop("id")), **values)
