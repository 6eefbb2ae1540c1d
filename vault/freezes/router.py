"""Stop signatures at once, and let them go on: of one agent, of an organisation's, of all."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from vault.auth.dependencies import OrgAdmin, PlatformAdmin, platform_admin
from vault.context import Context, context_of
from vault.freezes import service
from vault.freezes.gate import INSTANCE
from vault.freezes.schemas import FreezeReply, FreezeRequest, UnfreezeRequest

router = APIRouter(prefix="/v1", tags=["Freezing"])

Ctx = Annotated[Context, Depends(context_of)]


@router.post("/agents/{agent_id}/freeze")
async def freeze_agent(agent_id: UUID, body: FreezeRequest, caller: OrgAdmin, context: Ctx) -> FreezeReply:
    """Let this agent sign nothing from now on, whatever of it waits already; its settings and credentials stay."""
    async with context.database.stops.begin() as connection:
        await service.require_agent(connection, caller, agent_id)
        return await service.freeze(connection, caller, "agent", agent_id, body.reason)


@router.post("/agents/{agent_id}/unfreeze")
async def unfreeze_agent(
    agent_id: UUID, caller: OrgAdmin, context: Ctx, body: UnfreezeRequest | None = None
) -> FreezeReply:
    """Let this agent sign again."""
    async with context.database.stops.begin() as connection:
        await service.require_agent(connection, caller, agent_id)
        return await service.unfreeze(connection, caller, "agent", agent_id, body.reason if body else None)


@router.get("/org/freeze")
async def get_org_freeze(caller: OrgAdmin, context: Ctx) -> FreezeReply:
    """Whether the organisation's agents are frozen together."""
    async with context.database.people.begin() as connection:
        return await service.state(connection, caller.org_id)


@router.post("/org/freeze")
async def freeze_org(body: FreezeRequest, caller: OrgAdmin, context: Ctx) -> FreezeReply:
    """Let no agent of the organisation sign from now on, those included that are made later."""
    async with context.database.stops.begin() as connection:
        return await service.freeze(connection, caller, "organisation", caller.org_id, body.reason)


@router.post("/org/unfreeze")
async def unfreeze_org(caller: OrgAdmin, context: Ctx, body: UnfreezeRequest | None = None) -> FreezeReply:
    """Let the organisation's agents sign again; one that is frozen by itself stays so."""
    async with context.database.stops.begin() as connection:
        reason = body.reason if body else None
        return await service.unfreeze(connection, caller, "organisation", caller.org_id, reason)


@router.get("/admin/freeze", dependencies=[Depends(platform_admin)])
async def get_instance_freeze(context: Ctx) -> FreezeReply:
    """Whether all agents of the instance are frozen together."""
    async with context.database.people.begin() as connection:
        return await service.state(connection, INSTANCE)


@router.post("/admin/freeze")
async def freeze_instance(body: FreezeRequest, caller: PlatformAdmin, context: Ctx) -> FreezeReply:
    """Let no agent of this instance sign from now on."""
    async with context.database.stops.begin() as connection:
        return await service.freeze(connection, caller, "instance", INSTANCE, body.reason)


@router.post("/admin/unfreeze")
async def unfreeze_instance(caller: PlatformAdmin, context: Ctx, body: UnfreezeRequest | None = None) -> FreezeReply:
    """Let the instance's agents sign again; what is frozen by itself stays so."""
    async with context.database.stops.begin() as connection:
        return await service.unfreeze(connection, caller, "instance", INSTANCE, body.reason if body else None)
