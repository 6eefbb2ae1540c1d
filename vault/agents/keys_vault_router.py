"""GET /v1/org/agent-keys-vault: where people find their agents' identity keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from vault.agents import keys_vault
from vault.auth.dependencies import Human
from vault.context import Context, context_of
from vault.errors import not_found
from vault.schemas import Reply

router = APIRouter(prefix="/v1/org", tags=["organisations"])

Ctx = Annotated[Context, Depends(context_of)]


class AgentKeysVaultReply(Reply):
    """The vault's id; reading it takes a policy like any other vault."""

    vault_id: UUID


@router.get("/agent-keys-vault", responses={404: {"description": "No agent was ever registered"}})
async def get_agent_keys_vault(caller: Human, context: Ctx) -> AgentKeysVaultReply:
    """The vault of the organisation's agents' identity keys."""
    async with context.database.statements() as connection:
        vault_id = await keys_vault.find(connection, caller.org_id)
    if vault_id is None:
        raise not_found("Your organisation has no agent-keys vault yet: it is made with the first agent")
    return AgentKeysVaultReply(vault_id=vault_id)
