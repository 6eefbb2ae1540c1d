"""/v1/vaults/{vault_id}/policies: create, list, change, revoke."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from vault.auth.dependencies import AnyCaller
from vault.context import Context, context_of
from vault.policies import service
from vault.policies.schemas import CreatePolicyRequest, PolicyListResponse, PolicyResponse, UpdatePolicyRequest
from vault.schemas import PageQuery

router = APIRouter(prefix="/v1/vaults/{vault_id}/policies", tags=["Policies"])

ContextDep = Annotated[Context, Depends(context_of)]


@router.post("", status_code=201)
async def create_policy(
    vault_id: UUID, body: CreatePolicyRequest, caller: AnyCaller, context: ContextDep
) -> PolicyResponse:
    """Grant a principal access to paths of the vault."""
    return await service.create_policy(context, caller, vault_id, body)


@router.get("")
async def list_policies(
    vault_id: UUID,
    caller: AnyCaller,
    context: ContextDep,
    page: PageQuery,
) -> PolicyListResponse:
    """List the vault's policies, oldest first."""
    found = await service.list_policies(context, caller, vault_id, page=page)
    return PolicyListResponse(policies=found)


@router.put("/{policy_id}")
async def update_policy(
    vault_id: UUID, policy_id: UUID, body: UpdatePolicyRequest, caller: AnyCaller, context: ContextDep
) -> PolicyResponse:
    """Change a policy's permissions, conditions or expiry."""
    return await service.update_policy(context, caller, vault_id, policy_id, body)


@router.delete("/{policy_id}", status_code=204)
async def delete_policy(vault_id: UUID, policy_id: UUID, caller: AnyCaller, context: ContextDep) -> None:
    """Revoke a policy."""
    await service.delete_policy(context, caller, vault_id, policy_id)
