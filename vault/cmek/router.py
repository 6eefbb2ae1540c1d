"""/v1/vaults/{vault_id}/cmek and /cmek-rotate: values that clients encrypt with a key of their own."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header

from vault.auth.dependencies import Human
from vault.cmek import rotate, service
from vault.cmek.keys import NEW_HEADER, OLD_HEADER, read_keys
from vault.cmek.schemas import CmekRotateRequest, CmekRotationJobResponse, EnableCmekRequest
from vault.context import Context, context_of
from vault.vaults.schemas import VaultResponse

router = APIRouter(prefix="/v1/vaults/{vault_id}", tags=["CMEK"])

ContextDep = Annotated[Context, Depends(context_of)]
_MAX_HEADER = 100


@router.post("/cmek")
async def enable_cmek(vault_id: UUID, body: EnableCmekRequest, caller: Human, context: ContextDep) -> VaultResponse:
    """Name the key that clients encrypt the vault's values with; the key itself stays with them."""
    return await service.enable(context, caller, vault_id, body.fingerprint)


@router.delete("/cmek")
async def disable_cmek(vault_id: UUID, caller: Human, context: ContextDep) -> VaultResponse:
    """Take new values as they are; those that are encrypted still need their key."""
    return await service.disable(context, caller, vault_id)


@router.post("/cmek-rotate", status_code=202)
async def rotate_cmek(
    vault_id: UUID,
    body: CmekRotateRequest,
    caller: Human,
    context: ContextDep,
    old_key: Annotated[str, Header(alias=OLD_HEADER, max_length=_MAX_HEADER)],
    new_key: Annotated[str, Header(alias=NEW_HEADER, max_length=_MAX_HEADER)],
) -> CmekRotationJobResponse:
    """Re-encrypt all values from the old key to the new one; repeated with the same keys it resumes."""
    return await rotate.rotate(context, caller, vault_id, read_keys(old_key, new_key), body.new_fingerprint)


@router.get("/cmek-rotate/{job_id}")
async def get_cmek_rotation_job(
    vault_id: UUID, job_id: UUID, caller: Human, context: ContextDep
) -> CmekRotationJobResponse:
    """Show how far a rotation is."""
    return await rotate.show_job(context, caller, vault_id, job_id)
