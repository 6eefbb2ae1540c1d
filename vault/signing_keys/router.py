"""/v1/agents/{id}/signing-keys: which keys an agent's paths stand for."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from vault.auth.dependencies import OrgAdmin
from vault.context import Context, context_of
from vault.problem_replies import TO_BE_CONFIRMED
from vault.schemas import PageQuery
from vault.signing_keys import service
from vault.signing_keys.schemas import BindSigningKeyRequest, SigningKeyListReply, SigningKeyReply

router = APIRouter(prefix="/v1/agents/{agent_id}/signing-keys", tags=["agents"])

Ctx = Annotated[Context, Depends(context_of)]


@router.get("")
async def list_signing_keys(agent_id: UUID, caller: OrgAdmin, context: Ctx, page: PageQuery) -> SigningKeyListReply:
    """The paths this agent has signed with or may, each with the one secret it stands for."""
    async with context.database.begin() as connection:
        return SigningKeyListReply(signing_keys=await service.listed(connection, caller, agent_id, page))


@router.put("", responses=TO_BE_CONFIRMED)
async def bind_signing_key(
    agent_id: UUID,
    body: BindSigningKeyRequest,
    caller: OrgAdmin,
    context: Ctx,
    confirm: Annotated[
        str | None,
        Query(max_length=64, description="The address whose key an agent brought and which is to be a wallet"),
    ] = None,
) -> SigningKeyReply:
    """Say in which vault lies the key that this agent means by a path."""
    async with context.database.begin() as connection:
        return await service.bind(connection, caller, agent_id, body, confirm)
