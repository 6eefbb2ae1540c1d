"""/v1/vaults/{vault_id}/secrets and its siblings secret-versions, -version, -rotate, -restore, -generate.

A path reaches us decoded, whether the client sent its slashes raw, as %2F or encoded each segment by itself. Where
a version follows it, that is the last segment.
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from vault.auth.dependencies import AnyCaller
from vault.context import Context, context_of
from vault.head import is_head
from vault.problem_replies import TO_BE_CONFIRMED
from vault.schemas import PageQuery
from vault.secrets import listing, read, remove, restore, rotate, versions, write
from vault.secrets.confirm import ConfirmAddress
from vault.secrets.paths import MAX_LENGTH, PREFIX
from vault.secrets.schemas import (
    MAX_INT32,
    ExtendVersionRequest,
    GenerateKeyRequest,
    PutSecretRequest,
    RestoreSecretRequest,
    RotateSecretRequest,
    SecretCreatedResponse,
    SecretListResponse,
    SecretMetadataResponse,
    SecretResponse,
    SecretVersionListResponse,
)

router = APIRouter(prefix="/v1/vaults/{vault_id}", tags=["Secrets"])

ContextDep = Annotated[Context, Depends(context_of)]
Version = Annotated[int, Path(ge=1, le=MAX_INT32)]

_ABSENT: dict[int | str, dict[str, Any]] = {
    404: {"description": "Nothing was ever there"},
    410: {"description": "Deleted, disabled, expired, or read as often as it may be"},
}
_ALTERED = _ABSENT | {409: {"description": "The stored value was altered behind the vault's back"}}
_OCCUPIED: dict[int | str, dict[str, Any]] = {409: {"description": "What is there must not be displaced so"}}
# to a HEAD: without a content-length, which only the value would tell
_SEEN = Response(media_type="application/json", headers={"Cache-Control": "no-store"})
del _SEEN.headers["content-length"]


@router.get("/secrets")
async def list_secrets(
    vault_id: UUID,
    caller: AnyCaller,
    context: ContextDep,
    page: PageQuery,
    prefix: Annotated[str, Query(max_length=MAX_LENGTH, pattern=PREFIX)] = "",
) -> SecretListResponse:
    """List what the caller may read, by path, without values; `prefix` is a plain string prefix."""
    found = await listing.list_secrets(context, caller, vault_id, prefix=prefix, page=page)
    return SecretListResponse(secrets=found)


@router.put("/secrets/{path:path}", status_code=201, responses=TO_BE_CONFIRMED)
async def put_secret(
    vault_id: UUID,
    path: str,
    body: PutSecretRequest,
    caller: AnyCaller,
    context: ContextDep,
    confirm: ConfirmAddress = None,
) -> SecretCreatedResponse:
    """Store a new version of a secret; the answer holds no value."""
    return await write.put_secret(context, caller, vault_id, path, body, confirm=confirm)


@router.get("/secrets/{path:path}", responses=_ALTERED, response_model=SecretResponse)
async def get_secret(
    vault_id: UUID, path: str, caller: AnyCaller, context: ContextDep, request: Request, response: Response
) -> Any:
    """Read the newest version of a secret."""
    if is_head(request):
        await read.look(context, caller, vault_id, path)
        return _SEEN
    response.headers["Cache-Control"] = "no-store"
    return await read.get_secret(context, caller, vault_id, path)


@router.delete(
    "/secrets/{path:path}", status_code=204, responses=TO_BE_CONFIRMED | {404: {"description": "Nothing is there"}}
)
async def delete_secret(
    vault_id: UUID, path: str, caller: AnyCaller, context: ContextDep, confirm: ConfirmAddress = None
) -> None:
    """Delete a secret with all its versions."""
    await remove.delete_secret(context, caller, vault_id, path, confirm=confirm)


@router.post("/secret-generate/{path:path}", status_code=201, responses=_OCCUPIED)
async def generate_key(
    vault_id: UUID,
    path: str,
    caller: AnyCaller,
    context: ContextDep,
    body: GenerateKeyRequest | None = None,
) -> SecretCreatedResponse:
    """Generate a signing key inside the HSM; its address is in the metadata, its value nowhere."""
    return await write.generate_key(context, caller, vault_id, path, body or GenerateKeyRequest())


@router.get("/secret-versions/{path:path}", responses=_ABSENT)
async def list_secret_versions(
    vault_id: UUID, path: str, caller: AnyCaller, context: ContextDep, page: PageQuery
) -> SecretVersionListResponse:
    """List the versions of a secret, newest first, without values; no read is charged."""
    return SecretVersionListResponse(
        versions=await versions.list_versions(context, caller, vault_id, path, page=page)
    )


@router.get("/secret-version/{path:path}/{version}", responses=_ALTERED, response_model=SecretResponse)
async def get_secret_version(
    vault_id: UUID,
    path: str,
    version: Version,
    caller: AnyCaller,
    context: ContextDep,
    request: Request,
    response: Response,
) -> Any:
    """Read one version of a secret."""
    if is_head(request):
        await read.look(context, caller, vault_id, path, version)
        return _SEEN
    response.headers["Cache-Control"] = "no-store"
    return await read.get_secret(context, caller, vault_id, path, version)


@router.post("/secret-version/{path:path}/{version}/disable", status_code=204, responses=_ABSENT | TO_BE_CONFIRMED)
@router.post(
    "/secret-version-disable/{path:path}/{version}",
    status_code=204,
    responses=_ABSENT | TO_BE_CONFIRMED,
    name="disable_secret_version_alias",
)
async def disable_secret_version(
    vault_id: UUID,
    path: str,
    version: Version,
    caller: AnyCaller,
    context: ContextDep,
    confirm: ConfirmAddress = None,
) -> None:
    """Take one version out of service; both forms of the URL are in use."""
    await versions.disable_version(context, caller, vault_id, path, version, confirm=confirm)


_UNDONE: dict[int | str, dict[str, Any]] = _ABSENT | {403: {"description": "Not the caller's to undo"}}


@router.post("/secret-version/{path:path}/{version}/enable", status_code=204, responses=_UNDONE)
@router.post(
    "/secret-version-enable/{path:path}/{version}",
    status_code=204,
    responses=_UNDONE,
    name="enable_secret_version_alias",
)
async def enable_secret_version(
    vault_id: UUID, path: str, version: Version, caller: AnyCaller, context: ContextDep
) -> None:
    """Undo the disabling of a version; for whoever did it, owners and admins, later for the platform admin."""
    await restore.enable_version(context, caller, vault_id, path, version)


@router.post("/secret-version/{path:path}/{version}/extend", responses=_UNDONE)
async def extend_secret_version(
    vault_id: UUID,
    path: str,
    version: Version,
    body: ExtendVersionRequest,
    caller: AnyCaller,
    context: ContextDep,
) -> SecretMetadataResponse:
    """Give a version that expires a later end, or none; what has expired counts again."""
    return await restore.extend_version(context, caller, vault_id, path, version, body.expires_at)


@router.post("/secret-rotate/{path:path}", status_code=201, responses=_ABSENT | _OCCUPIED)
async def rotate_secret(
    vault_id: UUID, path: str, caller: AnyCaller, context: ContextDep, body: RotateSecretRequest | None = None
) -> SecretCreatedResponse:
    """Replace a secret's value by a new version, random unless given; the answer holds no value."""
    return await rotate.rotate_secret(context, caller, vault_id, path, body or RotateSecretRequest())


@router.post(
    "/secret-restore/{path:path}",
    status_code=204,
    responses={404: _ABSENT[404], 409: {"description": "It is not deleted, or another key lies there by now"}},
)
async def restore_secret(
    vault_id: UUID, path: str, caller: AnyCaller, context: ContextDep, body: RestoreSecretRequest | None = None
) -> None:
    """Undo the deletion of a secret; for whoever did it, owners and admins, later for the platform admin."""
    await restore.restore_secret(context, caller, vault_id, path, None if body is None else body.path)
