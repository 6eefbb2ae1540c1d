"""/v1/vaults/{vault_id}/secrets and secret-generate.

A path reaches us decoded, whether the client sent its slashes raw, as %2F or encoded each segment by itself.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from vault.auth.dependencies import AnyCaller
from vault.context import Context, context_of
from vault.schemas import PageQuery
from vault.secrets import service
from vault.secrets.paths import MAX_LENGTH, PREFIX
from vault.secrets.schemas import (
    GenerateKeyRequest,
    PutSecretRequest,
    SecretCreatedResponse,
    SecretListResponse,
    SecretResponse,
)

router = APIRouter(prefix="/v1/vaults/{vault_id}", tags=["Secrets"])

ContextDep = Annotated[Context, Depends(context_of)]


@router.get("/secrets")
async def list_secrets(
    vault_id: UUID,
    caller: AnyCaller,
    context: ContextDep,
    page: PageQuery,
    prefix: Annotated[str, Query(max_length=MAX_LENGTH, pattern=PREFIX)] = "",
) -> SecretListResponse:
    """List what the caller may read, by path, without values; `prefix` is a plain string prefix."""
    found = await service.list_secrets(context, caller, vault_id, prefix=prefix, page=page)
    return SecretListResponse(secrets=found)


@router.put("/secrets/{path:path}", status_code=201)
async def put_secret(
    vault_id: UUID, path: str, body: PutSecretRequest, caller: AnyCaller, context: ContextDep
) -> SecretCreatedResponse:
    """Store a new version of a secret; the answer holds no value."""
    return await service.put_secret(context, caller, vault_id, path, body)


@router.get("/secrets/{path:path}")
async def get_secret(
    vault_id: UUID, path: str, caller: AnyCaller, context: ContextDep, response: Response
) -> SecretResponse:
    """Read the newest version of a secret."""
    found = await service.get_secret(context, caller, vault_id, path)
    response.headers["Cache-Control"] = "no-store"
    return found


@router.delete("/secrets/{path:path}", status_code=204)
async def delete_secret(vault_id: UUID, path: str, caller: AnyCaller, context: ContextDep) -> None:
    """Delete a secret with all its versions."""
    await service.delete_secret(context, caller, vault_id, path)


@router.post("/secret-generate/{path:path}", status_code=201)
async def generate_key(
    vault_id: UUID,
    path: str,
    caller: AnyCaller,
    context: ContextDep,
    body: GenerateKeyRequest | None = None,
) -> SecretCreatedResponse:
    """Generate a signing key inside the HSM; its address is in the metadata, its value nowhere."""
    return await service.generate_key(context, caller, vault_id, path, body or GenerateKeyRequest())
