"""/v1/audit: the log itself, whether its chain holds, and what an auditor takes home."""

import base64
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from vault.audit.events import list_events
from vault.audit.export import begin_export
from vault.audit.schemas import (
    MAX_WALK,
    AuditEventsResponse,
    FilterQuery,
    From,
    FromSignature,
    KeyResponse,
    KeysResponse,
    Limit,
    VerifyResponse,
)
from vault.audit.verify import verify_part
from vault.auth.dependencies import AnyCaller, OrgAdmin
from vault.context import Context, context_of
from vault.schemas import PageQuery

router = APIRouter(prefix="/v1/audit", tags=["Audit"])

ContextDep = Annotated[Context, Depends(context_of)]


@router.get("/events")
@router.get("")
async def query_audit_events(
    caller: AnyCaller, context: ContextDep, wanted: FilterQuery, page: PageQuery
) -> AuditEventsResponse:
    """Events, newest first: of the whole organisation for owners and admins, one's own for everybody else."""
    return await list_events(context, caller, wanted, page)


@router.get("/verify")
async def verify_audit_chain(
    caller: OrgAdmin,
    context: ContextDep,
    from_position: From = 1,
    limit: Limit = MAX_WALK,
    from_signature: FromSignature = None,
) -> VerifyResponse:
    """Walk along the chain; a long one in parts, each from the `next_position` of the part before.

    What the signer signed is compared with the transactions, likewise in parts (`next_signature`).
    """
    return await verify_part(context, caller, from_position, limit, from_signature)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
async def export_audit_chain(
    caller: OrgAdmin, context: ContextDep, from_position: From = 1, limit: Limit = MAX_WALK
) -> StreamingResponse:
    """JSON lines for `python -m vault.audit.verifier`; the last line says whether there is more."""
    lines = await begin_export(context, caller, from_position, limit)
    return StreamingResponse(lines, media_type="application/x-ndjson")


@router.get("/keys")
async def list_audit_keys(caller: OrgAdmin, context: ContextDep) -> KeysResponse:
    """The public keys that heads verify against; an auditor keeps a copy elsewhere."""
    keys = [
        KeyResponse(kid=key.kid, public_key_base64=base64.b64encode(key.public_key).decode(), retired=key.retired)
        for key in await context.signer.audit_keys()
    ]
    return KeysResponse(keys=keys)
