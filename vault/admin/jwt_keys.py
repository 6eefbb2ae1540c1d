"""The keys that sign tokens: listed, and rotated by the platform's administrator."""

from signer.errors import RotatedJustNow
from vault.admin.schemas import JwtKeyResponse, JwtKeysListResponse, RotateJwtKeyResponse
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import conflict
from vault.schemas import Page


async def listed(context: Context, page: Page) -> JwtKeysListResponse:
    """A page of the keys, newest first."""
    keys = await context.signer.jwt_keys()
    shown = [
        JwtKeyResponse(
            kid=key.kid, created_at=key.created_at, retired_at=key.retired_at, counts_until=key.counts_until
        )
        for key in keys[page.offset : page.offset + page.limit]
    ]
    return JwtKeysListResponse(keys=shown, total=len(keys))


async def rotate(context: Context, caller: Caller, *, at_once: bool) -> RotateJwtKeyResponse:
    """Have tokens signed with a new key; Problem 409 when that was done a moment ago."""
    before = await context.signer.jwt_keys()
    retired = [key.kid for key in before if at_once or key.retired_at is None]
    async with context.database.begin() as connection:
        # before the rotation, which cannot be taken back: what cannot be written down is not done
        current = next((key.kid for key in before if key.retired_at is None), "none")
        await write_for(connection, caller, "jwt_key.rotate", "jwt_key", current, at_once=at_once, retired=retired)
        try:
            kid = await context.signer.rotate_jwt_key(at_once=at_once)
        except RotatedJustNow:
            raise conflict("The key was rotated a moment ago; wait ten seconds before the next rotation") from None
    return RotateJwtKeyResponse(kid=kid)
