"""/v1/admin/settings, for the platform admin alone."""

from typing import Annotated

from fastapi import APIRouter, Depends

from vault.admin import service
from vault.admin.schemas import SettingResponse, SettingsListResponse, UpdateSettingRequest
from vault.auth.dependencies import PlatformAdmin, platform_admin
from vault.context import Context, context_of
from vault.schemas import PageQuery

router = APIRouter(prefix="/v1/admin/settings", tags=["Admin"])

ContextDep = Annotated[Context, Depends(context_of)]


@router.get("", dependencies=[Depends(platform_admin)])
async def list_settings(context: ContextDep, page: PageQuery) -> SettingsListResponse:
    """List the settings that differ from their defaults."""
    return SettingsListResponse(settings=await service.list_settings(context.database, page))


@router.put("/{key}")
async def put_setting(
    key: str, body: UpdateSettingRequest, caller: PlatformAdmin, context: ContextDep
) -> SettingResponse:
    """Change a setting; it counts from the next request on."""
    return await service.put_setting(context.database, caller, key, body.value)


@router.delete("/{key}", status_code=204)
async def delete_setting(key: str, caller: PlatformAdmin, context: ContextDep) -> None:
    """Return a setting to its default."""
    await service.delete_setting(context.database, caller, key)
