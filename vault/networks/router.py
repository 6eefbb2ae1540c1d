"""/v1/chains for everybody, /v1/admin/chains for the platform admin."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from vault.auth.dependencies import PlatformAdmin, platform_admin
from vault.context import Context, context_of
from vault.networks import service
from vault.networks.schemas import (
    AdminChainListResponse,
    AdminChainResponse,
    ChainListResponse,
    ChainResponse,
    CreateChainRequest,
    UpdateChainRequest,
    admin_chain,
    public_chain,
)
from vault.schemas import PageQuery

router = APIRouter(prefix="/v1", tags=["Chains"])

ContextDep = Annotated[Context, Depends(context_of)]


async def _wants_limits(include: Annotated[str, Query(pattern="^(limits)?$")] = "") -> bool:
    return include == "limits"


WithLimits = Annotated[bool, Depends(_wants_limits)]


@router.get("/chains")
async def list_chains(context: ContextDep, page: PageQuery) -> ChainListResponse:
    """List the enabled chains; no credential needed."""
    rows = await service.list_chains(context.database, enabled_only=True, page=page)
    return ChainListResponse(chains=[public_chain(row) for row in rows])


@router.get("/chains/{identifier}")
async def get_chain(identifier: str, context: ContextDep) -> ChainResponse:
    """Show an enabled chain by name, alias or numeric id; no credential needed."""
    return public_chain(await service.get_chain(context.database, identifier))


@router.get("/admin/chains", dependencies=[Depends(platform_admin)])
async def admin_list_chains(context: ContextDep, page: PageQuery, with_limits: WithLimits) -> AdminChainListResponse:
    """List all chains, disabled ones included; `?include=limits` adds gas-cost ceiling and confirmations."""
    rows = await service.list_chains(context.database, enabled_only=False, page=page)
    return AdminChainListResponse(chains=[admin_chain(row, with_limits=with_limits) for row in rows])


@router.post("/admin/chains", status_code=201)
async def create_chain(
    body: CreateChainRequest, caller: PlatformAdmin, context: ContextDep, with_limits: WithLimits
) -> AdminChainResponse:
    """Register a chain."""
    row = await service.create_chain(context.database, caller, body.columns())
    return admin_chain(row, with_limits=with_limits)


@router.put("/admin/chains/{chain_id}")
async def update_chain(
    chain_id: UUID, body: UpdateChainRequest, caller: PlatformAdmin, context: ContextDep, with_limits: WithLimits
) -> AdminChainResponse:
    """Change, enable or disable a chain; it counts at once."""
    row = await service.update_chain(context.database, caller, chain_id, body.changes())
    return admin_chain(row, with_limits=with_limits)


@router.delete("/admin/chains/{chain_id}", status_code=204)
async def delete_chain(chain_id: UUID, caller: PlatformAdmin, context: ContextDep) -> None:
    """Remove a chain."""
    await service.delete_chain(context.database, caller, chain_id)
