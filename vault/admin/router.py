"""/v1/admin: settings, accounts, tiers and organisations' limits, for the platform admin alone."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path

from vault.admin import jwt_keys, service, tiers, users
from vault.admin.schemas import (
    AdminUsersListResponse,
    BillingTierResponse,
    ClosedOrgsResponse,
    JwtKeysListResponse,
    OrgLimitsResponse,
    PutTierRequest,
    ReopenedOrgResponse,
    RestoreOrgRequest,
    RotateJwtKeyRequest,
    RotateJwtKeyResponse,
    SetBillingTierRequest,
    SettingResponse,
    SettingsListResponse,
    TierResponse,
    TiersListResponse,
    UpdateOrgLimitsRequest,
    UpdateSettingRequest,
)
from vault.auth.dependencies import PlatformAdmin, platform_admin
from vault.context import Context, context_of
from vault.orgs import reopen
from vault.problem_replies import TO_BE_CONFIRMED
from vault.schemas import PageQuery
from vault.secrets.confirm import ConfirmNumber, with_word

router = APIRouter(prefix="/v1/admin", tags=["Admin"])

ContextDep = Annotated[Context, Depends(context_of)]
Key = Annotated[str, Path(max_length=128, pattern=r"^[!-~]+$")]
TierName = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9][a-z0-9_-]*$")]


@router.get("/settings", dependencies=[Depends(platform_admin)])
async def list_settings(context: ContextDep, page: PageQuery) -> SettingsListResponse:
    """List the settings that differ from their defaults."""
    async with context.database.begin() as connection:
        return SettingsListResponse(settings=await service.list_settings(connection, page))


@router.put("/settings/{key}")
async def put_setting(
    key: Key, body: UpdateSettingRequest, caller: PlatformAdmin, context: ContextDep
) -> SettingResponse:
    """Change a setting; it counts from the next request on."""
    async with context.database.begin() as connection:
        return await service.put_setting(connection, caller, key, body.value)


@router.delete("/settings/{key}", status_code=204)
async def delete_setting(key: Key, caller: PlatformAdmin, context: ContextDep) -> None:
    """Return a setting to its default."""
    async with context.database.begin() as connection:
        await service.delete_setting(connection, caller, key)


@router.get("/jwt-keys", dependencies=[Depends(platform_admin)])
async def list_jwt_keys(context: ContextDep, page: PageQuery) -> JwtKeysListResponse:
    """List the keys that sign tokens, newest first, and until when retired ones count."""
    return await jwt_keys.listed(context, page)


@router.post("/jwt-keys/rotate", responses={409: {"description": "Rotated a moment ago"}})
async def rotate_jwt_key(
    caller: PlatformAdmin, context: ContextDep, body: RotateJwtKeyRequest | None = None
) -> RotateJwtKeyResponse:
    """Sign tokens with a new key; `at_once` ends every token that is out, the caller's too."""
    return await jwt_keys.rotate(context, caller, at_once=body is not None and body.at_once)


@router.get("/users", dependencies=[Depends(platform_admin)])
async def list_users(context: ContextDep, page: PageQuery) -> AdminUsersListResponse:
    """List every account of the platform."""
    async with context.database.begin() as connection:
        return await users.listed(connection, page)


@router.delete("/users/{user_id}", status_code=204, responses=TO_BE_CONFIRMED)
async def delete_user(
    user_id: UUID, caller: PlatformAdmin, context: ContextDep, confirm: ConfirmNumber = None
) -> None:
    """Close an account at once; an organisation without anybody else is deleted with it."""

    async def attempt(cleared: frozenset[bytes]) -> None:
        async with context.database.begin() as connection:
            await users.delete(connection, caller, user_id, cleared)

    await with_word(context, confirm, "number", attempt)


@router.get("/tiers", dependencies=[Depends(platform_admin)])
async def list_tiers(context: ContextDep, page: PageQuery) -> TiersListResponse:
    """List the tiers that are defined; without any nothing is limited."""
    async with context.database.begin() as connection:
        return TiersListResponse(tiers=await tiers.listed(connection, page))


@router.put("/tiers/{name}", responses={409: {"description": "Too many tiers"}})
async def put_tier(name: TierName, body: PutTierRequest, caller: PlatformAdmin, context: ContextDep) -> TierResponse:
    """Define a tier as a whole; it counts from the next creation on."""
    async with context.database.begin() as connection:
        return await tiers.put(connection, caller, name, body)


@router.delete("/tiers/{name}", status_code=204)
async def delete_tier(name: TierName, caller: PlatformAdmin, context: ContextDep) -> None:
    """Undefine a tier: organisations that have it get the default one."""
    async with context.database.begin() as connection:
        await tiers.remove(connection, caller, name)


@router.get("/orgs/closed", dependencies=[Depends(platform_admin)])
async def list_closed_orgs(context: ContextDep, page: PageQuery) -> ClosedOrgsResponse:
    """List the organisations that ended with their last member's account."""
    async with context.database.begin() as connection:
        return ClosedOrgsResponse(organisations=await reopen.listed(connection, page))


@router.post(
    "/orgs/{org_id}/restore", responses={409: {"description": "Somebody belongs to it, or the owner to another one"}}
)
async def restore_org(
    org_id: UUID, caller: PlatformAdmin, context: ContextDep, body: RestoreOrgRequest | None = None
) -> ReopenedOrgResponse:
    """Bring a closed organisation back: its vaults as they were, its agents switched off."""
    async with context.database.begin() as connection:
        return await reopen.reopen(connection, caller, org_id, None if body is None else body.owner_email)


@router.get("/orgs/{org_id}/limits", dependencies=[Depends(platform_admin)])
async def get_limits(org_id: UUID, context: ContextDep) -> OrgLimitsResponse:
    """Show an organisation's tier and the exceptions from it."""
    async with context.database.begin() as connection:
        return await tiers.limits(connection, org_id)


@router.put("/orgs/{org_id}/limits")
async def put_limits(
    org_id: UUID, body: UpdateOrgLimitsRequest, caller: PlatformAdmin, context: ContextDep
) -> OrgLimitsResponse:
    """Set exceptions for an organisation."""
    async with context.database.begin() as connection:
        return await tiers.put_limits(connection, caller, org_id, body)


@router.put("/orgs/{org_id}/billing-tier")
async def put_billing_tier(
    org_id: UUID, body: SetBillingTierRequest, caller: PlatformAdmin, context: ContextDep
) -> BillingTierResponse:
    """Give an organisation a tier for some days."""
    async with context.database.begin() as connection:
        return await tiers.assign(connection, caller, org_id, body)
