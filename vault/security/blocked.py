"""The rules on addresses as PostgreSQL evaluates them, inside the statements that authenticate a caller."""

from typing import Any
from uuid import UUID

from sqlalchemy import Text, and_, bindparam, cast, func, not_, or_, select
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from vault.errors import Problem, forbidden
from vault.metrics import counts
from vault.orgs.models import IpRule
from vault.security.decide import Kind, without_zone


def is_blocked(org_id: Any, kind: Kind) -> ColumnElement[bool]:
    """Whether the bound parameter `address` may not use an organisation (`vault.security.decide` says why)."""
    address = cast(bindparam("address", type_=Text), INET)
    allows = IpRule.rule_type == "allow"
    # null for a null address, one that cannot be told: no allowed block contains it, every denied one does
    contains = IpRule.cidr.op(">>=", is_comparison=True)(address)
    covers = func.coalesce(contains, not_(allows))
    denied = func.bool_or(and_(not_(allows), covers))
    unlisted = and_(func.bool_or(allows), not_(func.bool_or(and_(allows, covers))))
    decision = select(func.coalesce(or_(denied, unlisted), False)).select_from(IpRule)
    decision = decision.where(IpRule.org_id == org_id, IpRule.applies_to.in_(["all", f"{kind}s"]))
    return decision.correlate_except(IpRule).scalar_subquery()


def address_parameter(address: str | None) -> dict[str, str | None]:
    """What to bind for `is_blocked`."""
    return {"address": without_zone(address)}


_OF_USER = select(is_blocked(bindparam("org_id"), "user"))
_OF_AGENT = select(is_blocked(bindparam("org_id"), "agent"))


async def blocks(connection: AsyncConnection, org_id: UUID, kind: Kind, address: str | None) -> bool:
    """Whether an organisation's rules keep this address out."""
    statement = _OF_AGENT if kind == "agent" else _OF_USER
    found = await connection.execute(statement, {"org_id": org_id, **address_parameter(address)})
    return bool(found.scalar_one())


async def require_allowed(connection: AsyncConnection, org_id: UUID, kind: Kind, address: str | None) -> None:
    """Problem 403 for an address that an organisation's rules keep out."""
    if await blocks(connection, org_id, kind, address):
        raise refusal()


def refusal() -> Problem:
    """The 403 of a blocked address."""
    counts.denied("ip_rule", "blocked")
    return forbidden("IP blocked: the rules of this organisation do not allow access from your address")
