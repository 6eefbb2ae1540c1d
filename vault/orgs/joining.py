"""Invite people by mail, and let them in."""

import secrets
from urllib.parse import quote
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write, write_for
from vault.auth import accounts, outbox
from vault.auth.caller import Caller
from vault.auth.emails import parse_email
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import Problem, bad_request, conflict, forbidden
from vault.orgs import invitations, repository
from vault.orgs.schemas import AcceptInvitationRequest, AcceptInvitationResponse, InvitationResponse, Role
from vault.schemas import Page

# the inviter's address and nothing else of his choosing: this goes to strangers
_SUBJECT = "You are invited to an organisation at Talon"
_TEXT = """{inviter} invites you to join an organisation at Talon as {role}.

Open this link and sign in with this e-mail address to accept; if you have no account yet, sign up with it first:
{link}

The link works once, for {days} days. If you do not know {inviter}, ignore this mail: nothing happens without you.
"""


async def invite(context: Context, connection: AsyncConnection, caller: Caller, email: str, role: Role) -> str:
    """Mail an invitation and return the stored form of the address.

    The mail and the answer are the same whether or not the address has an account here.
    """
    address = parse_email(email)
    await repository.lock(connection, caller.org_id)
    own_role = await repository.role_of(connection, caller.org_id, caller.id)
    if own_role not in ("owner", "admin"):
        raise forbidden("Only an owner or admin of the organisation may do this")
    if role == "owner" and own_role != "owner":
        raise forbidden("Only an owner may change an owner or make one")
    if await repository.is_member_address(connection, caller.org_id, address):
        raise conflict("This person is a member of the organisation already")
    if await invitations.count_open(connection, caller.org_id) >= invitations.MAX_OPEN:
        raise conflict(f"{invitations.MAX_OPEN} invitations are open already; wait until some are accepted or expire")
    # nobody's mailbox is filled by somebody else's invitations
    if not await outbox.may_post(connection, to=address, subject=_SUBJECT):
        detail = "This address was invited too often within the last hour; try again later"
        raise Problem(429, detail, headers={"Retry-After": "3600"})
    token = secrets.token_urlsafe(32)
    await invitations.add(connection, token=token, email=address, org_id=caller.org_id, role=role, sent_by=caller.id)
    inviter = await accounts.profile(connection, caller.id)
    text = _TEXT.format(
        inviter=inviter.email,
        role=role,
        link=f"{context.options.public_url.rstrip('/')}/invite?token={quote(token)}",
        days=invitations.DAYS,
    )
    await outbox.post(context, connection, to=address, subject=_SUBJECT, text=text)
    await write_for(connection, caller, "org.invite", "organisation", caller.org_id, email=address, role=role)
    return address


async def offered(connection: AsyncConnection, caller: Caller, page: Page) -> list[InvitationResponse]:
    """A page of what is open for the caller's own address, newest first."""
    person = await accounts.profile(connection, caller.id)
    if not person.email_verified:
        return []
    rows = await invitations.of_address(connection, person.email, page)
    return [
        InvitationResponse(
            org_id=str(row.org_id),
            org_name=row.org_name,
            role=row.role,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )
        for row in rows
    ]


async def accept(
    connection: AsyncConnection, caller: Caller, request: AcceptInvitationRequest
) -> AcceptInvitationResponse:
    """Move the caller into the organisation that invited his address; Problem 409 when he cannot leave his own."""
    if caller.scopes is not None:
        raise forbidden("This API key is limited to some paths and may not change organisations")
    person = await accounts.profile(connection, caller.id)
    invitation = await _named(connection, request, person)
    org_id = invitation.org_id
    if org_id == caller.org_id:
        raise conflict("You are a member of this organisation already")
    await repository.lock(connection, caller.org_id, org_id)
    old_role = await repository.role_of(connection, caller.org_id, caller.id)
    if old_role is None:
        raise conflict("Your organisation has just changed; sign in again")
    if old_role == "owner":
        await _require_dispensable(connection, caller.org_id, caller.id)
    role = await invitations.use(connection, invitation.token_hash)
    if role is None:
        raise _not_open()
    await repository.move(connection, caller.id, caller.org_id, org_id, role)
    details = {"email": person.email, "role": old_role, "reason": "joined another organisation"}
    await write_for(connection, caller, "org.member_remove", "user", caller.id, **details)
    await write(
        connection,
        org_id=org_id,
        actor_type=caller.kind,
        actor_id=str(caller.id),
        action="org.member_join",
        resource_type="user",
        resource_id=caller.id,
        details={"email": person.email, "role": role},
        ip_address=caller.ip_address,
    )
    message = "Welcome. Sign in again: tokens and sessions from before ended with the change."
    return AcceptInvitationResponse(message=message, org_id=str(org_id), role=role)


async def _named(connection: AsyncConnection, request: AcceptInvitationRequest, person: AnyRow) -> AnyRow:
    if (request.token is None) == (request.org_id is None):
        raise bad_request("token: send the token of the mail, or org_id instead")
    if not person.email_verified:
        raise forbidden("Confirm your e-mail address first")
    if request.token is not None:
        found = await invitations.of_token(connection, request.token)
    elif request.org_id is not None:
        found = await invitations.of_org(connection, request.org_id, person.email)
    if found is None:
        raise _not_open()
    if found.email != person.email:
        raise forbidden("This invitation is for another e-mail address; sign in with the one it was sent to")
    return found


async def _require_dispensable(connection: AsyncConnection, org_id: UUID, user_id: UUID) -> None:
    """Problem 409 when an organisation would be left with people, vaults or agents but without an owner."""
    if await repository.has_owner(connection, org_id, besides=user_id):
        return
    if await repository.has_anything(connection, org_id, besides=user_id):
        raise conflict(
            "You are the last owner of your organisation: make another member an owner,"
            " or remove its other members, vaults and agents, and accept again"
        )


def _not_open() -> Problem:
    return bad_request("This invitation is unknown, used, withdrawn or expired; ask for a new one")
