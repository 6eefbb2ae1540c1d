"""/v1/agents: people manage agents; an agent sees itself and changes nothing."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from vault.agents import service
from vault.agents.schemas import (
    AgentCreatedReply,
    AgentListReply,
    AgentReply,
    AgentSelfReply,
    CreateAgentRequest,
    KeyRotatedReply,
    UpdateAgentRequest,
)
from vault.auth.dependencies import AgentCaller, AnyCaller, OrgAdmin, org_admin
from vault.context import Context, context_of
from vault.errors import bad_request, forbidden
from vault.schemas import PageQuery

router = APIRouter(prefix="/v1/agents", tags=["agents"])

Ctx = Annotated[Context, Depends(context_of)]


async def aliases_wanted(include: Annotated[str | None, Query(max_length=100)] = None) -> bool:
    """Whether `?include=aliases` asks for amounts by their later names too; 400 for anything else."""
    if include not in (None, "", "aliases"):
        raise bad_request("include: only aliases can be asked for here", include="unknown")
    return include == "aliases"


Aliases = Annotated[bool, Depends(aliases_wanted)]


@router.post("", status_code=201)
async def create_agent(
    body: CreateAgentRequest, caller: OrgAdmin, context: Ctx, aliases: Aliases
) -> AgentCreatedReply:
    """Register an agent; its API key is shown once."""
    async with context.database.begin() as connection:
        return await service.create(connection, context.signer, caller, body, aliases=aliases)


@router.get("")
async def list_agents(caller: OrgAdmin, context: Ctx, page: PageQuery, aliases: Aliases) -> AgentListReply:
    """The organisation's agents, oldest first."""
    # whoever is about to freeze one looks for its id here
    async with context.database.people.begin() as connection:
        return AgentListReply(agents=await service.listed(connection, caller, page, aliases=aliases))


@router.get("/me")
async def get_myself(caller: AgentCaller, context: Ctx) -> AgentSelfReply:
    """The calling agent."""
    async with context.database.begin() as connection:
        return await service.myself(connection, caller)


@router.get("/{agent_id}")
async def get_agent(agent_id: UUID, caller: AnyCaller, context: Ctx, aliases: Aliases) -> AgentReply:
    """One agent with its guardrails; an agent may look at itself only."""
    if caller.is_agent and caller.id != agent_id:
        raise forbidden("An agent may only look at itself")
    if not caller.is_agent:
        await org_admin(caller)
    async with context.database.begin() as connection:
        return await service.get(connection, caller, agent_id, aliases=aliases)


@router.patch("/{agent_id}")
async def update_agent(
    agent_id: UUID, body: UpdateAgentRequest, caller: OrgAdmin, context: Ctx, aliases: Aliases
) -> AgentReply:
    """Change an agent, its guardrails included; an explicit null clears."""
    async with context.database.begin() as connection:
        return await service.update(connection, caller, agent_id, body, aliases=aliases)


@router.delete("/{agent_id}", status_code=204)
async def delete_agent(agent_id: UUID, caller: OrgAdmin, context: Ctx) -> None:
    """Remove an agent: hidden from lists, refused at once."""
    async with context.database.begin() as connection:
        await service.delete(connection, caller, agent_id)


@router.post("/{agent_id}/rotate-identity-keys")
async def rotate_identity_keys(agent_id: UUID, caller: OrgAdmin, context: Ctx) -> AgentReply:
    """Give an agent new identity keys; the old private halves stay as older versions of their secrets."""
    async with context.database.begin() as connection:
        return await service.rotate_identity_keys(connection, context.signer, caller, agent_id)


@router.post("/{agent_id}/rotate-key")
async def rotate_key(agent_id: UUID, caller: OrgAdmin, context: Ctx) -> KeyRotatedReply:
    """Give an agent a new key; the old one stops at once."""
    async with context.database.begin() as connection:
        return await service.rotate_key(connection, caller, agent_id)
