"""/v1/vaults/{vault_id}/rotate-key: a new key for a vault, and how far its values have moved to it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from vault.auth.dependencies import Human
from vault.context import Context, context_of
from vault.kek import service
from vault.kek.schemas import KeyRotationListResponse, KeyRotationResponse
from vault.schemas import PageQuery

router = APIRouter(prefix="/v1/vaults/{vault_id}/rotate-key", tags=["Vaults"])

ContextDep = Annotated[Context, Depends(context_of)]


@router.post("", status_code=202)
async def rotate_vault_key(vault_id: UUID, caller: Human, context: ContextDep) -> KeyRotationResponse:
    """Make a new key for the vault and re-wrap its values in the background."""
    return await service.rotate_key(context, caller, vault_id)


@router.get("")
async def list_key_rotations(
    vault_id: UUID, caller: Human, context: ContextDep, page: PageQuery
) -> KeyRotationListResponse:
    """List the rotations of the vault's key, newest first."""
    return KeyRotationListResponse(rotations=await service.list_rotations(context, caller, vault_id, page))


@router.get("/{rotation_id}")
async def get_key_rotation(
    vault_id: UUID, rotation_id: UUID, caller: Human, context: ContextDep
) -> KeyRotationResponse:
    """Show how far a rotation is."""
    return await service.show_rotation(context, caller, vault_id, rotation_id)
