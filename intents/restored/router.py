"""/v1/admin/restore: what a restored copy does not know, for the platform's administrator."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from chains.hexdata import parse_data
from intents.restored import view
from intents.restored.count import count
from intents.restored.meant import say_meant
from intents.restored.opened import open_copy
from intents.restored.replies import CountReply, CountRequest, MeantRequest, RestoreReply
from vault.auth.dependencies import PlatformAdmin
from vault.context import Context, context_of
from vault.schemas import Page, PageQuery

router = APIRouter(prefix="/v1/admin/restore", tags=["Restore"])

ContextDep = Annotated[Context, Depends(context_of)]
FIRST_PAGE = Page(100, 0)


@router.get("")
async def get_restore(_: PlatformAdmin, context: ContextDep, page: PageQuery) -> RestoreReply:
    """Whether this is a restored copy, and the transactions on chain that it does not know, as far as found."""
    async with context.database.statements() as connection:
        return RestoreReply(**await view.show(connection, page))


@router.post("/count")
async def count_restored(caller: PlatformAdmin, context: ContextDep, body: CountRequest | None = None) -> CountReply:
    """Take what was found, and the amounts in the body, into the window of each agent that may have paid it."""
    counted = await count(context, caller, body or CountRequest())
    async with context.database.statements() as connection:
        return CountReply(counted=counted.changed, **await view.show(connection, FIRST_PAGE))


@router.post("/open")
async def open_restored_copy(caller: PlatformAdmin, context: ContextDep) -> RestoreReply:
    """Let this copy sign again; 409 until what it does not know is listed and counted."""
    await open_copy(context, caller)
    async with context.database.statements() as connection:
        return RestoreReply(**await view.show(connection, FIRST_PAGE))


@router.post("/meant", status_code=204)
async def say_that_it_is_meant(caller: PlatformAdmin, context: ContextDep, body: MeantRequest) -> Response:
    """Let an agent make one more payment that is equal to a listed transaction."""
    await say_meant(context, caller, body.agent_id, parse_data(body.tx_hash, 32))
    return Response(status_code=204)
