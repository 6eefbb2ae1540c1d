"""POST /v1/admin/restore/end-credentials: nobody goes on with what an old copy took for valid."""

from typing import Annotated

from fastapi import APIRouter, Depends

from vault.auth.dependencies import PlatformAdmin
from vault.context import Context, context_of
from vault.restores.end_credentials import end_credentials
from vault.restores.schemas import EndedReply

router = APIRouter(prefix="/v1/admin/restore", tags=["Restore"])


@router.post(
    "/end-credentials", responses={409: {"description": "No restored copy, or keys were rotated a moment ago"}}
)
async def end_all_credentials(caller: PlatformAdmin, context: Annotated[Context, Depends(context_of)]) -> EndedReply:
    """End all credentials issued before, the caller's too: people log in again, agents get new keys."""
    return await end_credentials(context, caller)
