"""/v1/org: the people of an organisation, and invitations."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from vault.auth.dependencies import Human, OrgAdmin
from vault.context import Context, context_of
from vault.orgs import joining, members
from vault.orgs.schemas import (
    AcceptInvitationRequest,
    AcceptInvitationResponse,
    InvitationListResponse,
    InviteMemberRequest,
    InviteMemberResponse,
    OrgMemberListResponse,
    OrgMemberResponse,
    UpdateMemberRoleRequest,
)
from vault.schemas import PageQuery

router = APIRouter(prefix="/v1/org", tags=["Organization"])

Ctx = Annotated[Context, Depends(context_of)]


@router.get("/members")
async def list_members(caller: Human, context: Ctx, page: PageQuery) -> OrgMemberListResponse:
    """The people of the caller's organisation."""
    async with context.database.begin() as connection:
        return OrgMemberListResponse(members=await members.listed(connection, caller, page))


@router.patch("/members/{user_id}", responses={409: {"description": "The last owner"}})
async def update_member_role(
    user_id: UUID, body: UpdateMemberRoleRequest, caller: OrgAdmin, context: Ctx
) -> OrgMemberResponse:
    """Give a member another role; it counts from the next request on."""
    async with context.database.begin() as connection:
        return await members.change_role(connection, caller, user_id, body.role)


@router.delete("/members/{user_id}", status_code=204, responses={409: {"description": "The last owner"}})
async def remove_member(user_id: UUID, caller: OrgAdmin, context: Ctx) -> None:
    """Take a member out at once, into a new, empty organisation."""
    async with context.database.begin() as connection:
        await members.remove(connection, caller, user_id)


@router.post("/invite", responses={409: {"description": "A member already, or too many open invitations"}})
async def invite_member(body: InviteMemberRequest, caller: OrgAdmin, context: Ctx) -> InviteMemberResponse:
    """Invite somebody by mail; the link counts once, for 7 days."""
    async with context.database.begin() as connection:
        email = await joining.invite(context, connection, caller, body.email, body.role)
    return InviteMemberResponse(message="An invitation is on its way.", email=email)


@router.get("/invitations")
async def list_invitations(caller: Human, context: Ctx, page: PageQuery) -> InvitationListResponse:
    """Open invitations to the caller's own address."""
    async with context.database.begin() as connection:
        return InvitationListResponse(invitations=await joining.offered(connection, caller, page))


@router.post(
    "/invitations/accept",
    responses={
        400: {"description": "Not open (any more)"},
        403: {"description": "For another address"},
        409: {"description": "The caller cannot leave his organisation"},
    },
)
async def accept_invitation(body: AcceptInvitationRequest, caller: Human, context: Ctx) -> AcceptInvitationResponse:
    """Join the organisation that invited the caller, and leave the present one."""
    async with context.database.begin() as connection:
        return await joining.accept(connection, caller, body)
