"""Members of an organisation: listed, promoted, demoted, removed. Never is one without an owner."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write, write_for
from vault.auth.again import still_admin
from vault.auth.caller import Caller
from vault.columns import AnyRow
from vault.errors import conflict, forbidden, not_found
from vault.orgs import invitations, repository
from vault.orgs.schemas import OrgMemberResponse, Role
from vault.schemas import Page


async def listed(connection: AsyncConnection, caller: Caller, page: Page) -> list[OrgMemberResponse]:
    """A page of the caller's organisation, by when they joined."""
    return [shown(row) for row in await repository.members(connection, caller.org_id, page)]


async def change_role(connection: AsyncConnection, caller: Caller, user_id: UUID, role: Role) -> OrgMemberResponse:
    """Give a member another role; Problem 409 for the last owner's demotion."""
    target = await _locked(connection, caller, user_id, wants=role)
    if role != target.role:
        if target.role == "owner":
            await require_other_owner(connection, caller.org_id, user_id)
        await repository.set_role(connection, user_id, role)
        await write_for(
            connection, caller, "org.member_role", "user", user_id, email=target.email, old=target.role, new=role
        )
    return shown(target, role)


async def remove(connection: AsyncConnection, caller: Caller, user_id: UUID) -> None:
    """Take a member out, into a new organisation of his own; Problem 409 for the last owner."""
    target = await _locked(connection, caller, user_id)
    if target.role == "owner":
        await require_other_owner(connection, caller.org_id, user_id)
    await invitations.withdraw(connection, caller.org_id, target.email)
    own = await repository.create_organisation(connection, target.display_name or target.email)
    await repository.move(connection, user_id, caller.org_id, own, "owner")
    await write_for(connection, caller, "org.member_remove", "user", user_id, email=target.email, role=target.role)
    await write(
        connection,
        org_id=own,
        actor_type="system",
        actor_id="talon",
        action="org.member_join",
        resource_type="user",
        resource_id=user_id,
        details={"role": "owner", "reason": "removed from another organisation"},
    )


async def require_other_owner(connection: AsyncConnection, org_id: UUID, user_id: UUID) -> None:
    """Problem 409 unless the organisation, which the caller has locked, keeps an owner without this one."""
    if not await repository.has_owner(connection, org_id, besides=user_id):
        raise conflict("This is the organisation's last owner; make somebody else an owner first")


def shown(row: AnyRow, role: Role | None = None) -> OrgMemberResponse:
    """A row as the wire shows it."""
    return OrgMemberResponse(
        id=str(row.id),
        email=row.email,
        display_name=row.display_name,
        role=role or row.role,
        auth_method=row.auth_method,
        created_at=row.created_at,
    )


async def _locked(connection: AsyncConnection, caller: Caller, user_id: UUID, wants: Role | None = None) -> AnyRow:
    """The member to change, with the organisation locked: what is decided now stays true until the end."""
    await repository.lock(connection, caller.org_id)
    await still_admin(connection, caller)
    # the caller may have been demoted while waiting for the lock
    own_role = await repository.role_of(connection, caller.org_id, caller.id)
    if own_role not in ("owner", "admin"):
        raise forbidden("Only an owner or admin of the organisation may do this")
    target = await repository.member(connection, caller.org_id, user_id)
    if target is None:
        raise not_found("No such member")
    if own_role != "owner" and "owner" in (target.role, wants):
        raise forbidden("Only an owner may change an owner or make one")
    return target
