"""/v1/vaults/{vault_id}/access: may this principal do this, and why?"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from vault.auth.dependencies import Human
from vault.context import Context, context_of
from vault.policies.explain import explain_access
from vault.policies.schemas import AccessQuestion, AccessResponse

router = APIRouter(prefix="/v1/vaults/{vault_id}", tags=["Policies"])


@router.get("/access")
async def explain(
    vault_id: UUID,
    question: Annotated[AccessQuestion, Query()],
    caller: Human,
    context: Annotated[Context, Depends(context_of)],
) -> AccessResponse:
    """Say whether a principal may read or write a path, by which policy or why not, for whoever manages the vault."""
    return await explain_access(context, caller, vault_id, question)
