"""/v1/vaults: create, list, show, delete."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from vault.auth.dependencies import AnyCaller
from vault.context import Context, context_of
from vault.problem_replies import TO_BE_CONFIRMED
from vault.schemas import PageQuery
from vault.secrets.confirm import ConfirmNumber
from vault.vaults import restore, service
from vault.vaults.schemas import CreateVaultRequest, RestoreVaultRequest, VaultListResponse, VaultResponse

router = APIRouter(prefix="/v1/vaults", tags=["Vaults"])

ContextDep = Annotated[Context, Depends(context_of)]


@router.post("", status_code=201)
async def create_vault(body: CreateVaultRequest, caller: AnyCaller, context: ContextDep) -> VaultResponse:
    """Create a vault; people and agents may."""
    return await service.create_vault(context, caller, body)


@router.get("")
async def list_vaults(
    caller: AnyCaller,
    context: ContextDep,
    page: PageQuery,
) -> VaultListResponse:
    """List the vaults the caller may know of, oldest first."""
    return VaultListResponse(vaults=await service.list_vaults(context, caller, page=page))


@router.get("/{vault_id}")
async def get_vault(vault_id: UUID, caller: AnyCaller, context: ContextDep) -> VaultResponse:
    """Show one vault."""
    return await service.get_vault(context, caller, vault_id)


@router.delete("/{vault_id}", status_code=204, responses=TO_BE_CONFIRMED)
async def delete_vault(vault_id: UUID, caller: AnyCaller, context: ContextDep, confirm: ConfirmNumber = None) -> None:
    """Delete a vault."""
    await service.delete_vault(context, caller, vault_id, confirm=confirm)


@router.post(
    "/{vault_id}/restore",
    responses={
        403: {"description": "Not the caller's to undo, or not any more"},
        409: {"description": "Not deleted, or its name is taken"},
    },
)
async def restore_vault(
    vault_id: UUID, caller: AnyCaller, context: ContextDep, body: RestoreVaultRequest | None = None
) -> VaultResponse:
    """Undo the deletion of a vault; for whoever deleted it, owners and admins, later for the platform admin."""
    return await restore.restore_vault(context, caller, vault_id, None if body is None else body.name)
