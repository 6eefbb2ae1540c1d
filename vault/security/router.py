"""/v1/security/ip-rules: from where an organisation may be used."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends

from vault.auth.dependencies import OrgAdmin
from vault.context import Context, context_of
from vault.schemas import PageQuery
from vault.security import service
from vault.security.schemas import CreateIpRuleRequest, IpRuleResponse, IpRulesListResponse

router = APIRouter(prefix="/v1/security/ip-rules", tags=["Security"])

Ctx = Annotated[Context, Depends(context_of)]

_CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"description": "The caller would be shut out, or there are too many rules"}
}


@router.get("")
async def list_ip_rules(caller: OrgAdmin, context: Ctx, page: PageQuery) -> IpRulesListResponse:
    """The organisation's rules."""
    async with context.database.begin() as connection:
        return IpRulesListResponse(rules=await service.listed(connection, caller, page))


@router.post("", status_code=201, responses=_CONFLICT)
async def create_ip_rule(body: CreateIpRuleRequest, caller: OrgAdmin, context: Ctx) -> IpRuleResponse:
    """Add a rule; it counts from the next request on."""
    async with context.database.begin() as connection:
        return await service.create(connection, caller, body)


@router.delete("/{rule_id}", status_code=204, responses=_CONFLICT)
async def delete_ip_rule(rule_id: UUID, caller: OrgAdmin, context: Ctx) -> None:
    """Delete a rule; it counts no more from the next request on."""
    async with context.database.begin() as connection:
        await service.remove(connection, caller, rule_id)
