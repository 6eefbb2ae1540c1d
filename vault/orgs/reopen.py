"""Organisations that nobody belongs to any more, found and opened again by the platform's administrator."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, cast, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.admin.schemas import ClosedOrgResponse, ReopenedOrgResponse
from vault.agents.models import Agent
from vault.audit.write import write, write_in
from vault.auth.again import still
from vault.auth.caller import Caller
from vault.auth.dependencies import platform_admin
from vault.auth.emails import parse_email
from vault.auth.models import User
from vault.columns import AnyRow
from vault.errors import conflict, not_found
from vault.orgs import repository
from vault.orgs.models import Membership, Organisation
from vault.schemas import Page
from vault.vaults.models import Vault


async def listed(connection: AsyncConnection, page: Page) -> list[ClosedOrgResponse]:
    """A page of closed organisations, the latest first, with how many vaults went along."""
    vaults = select(func.count()).where(Vault.org_id == Organisation.id, Vault.deleted_at == Organisation.closed_at)
    statement = (
        select(
            cast(Organisation.id, Text).label("org_id"),
            Organisation.name,
            Organisation.closed_at,
            vaults.scalar_subquery().label("vaults"),
        )
        .where(Organisation.closed_at.is_not(None))
        .order_by(Organisation.closed_at.desc(), Organisation.id.desc())
    )
    rows = await connection.execute(statement.limit(page.limit).offset(page.offset))
    return [ClosedOrgResponse(**row) for row in rows.mappings()]


async def reopen(
    connection: AsyncConnection, caller: Caller, org_id: UUID, owner_email: str | None
) -> ReopenedOrgResponse:
    """Bring back what went with an organisation's closing, and make a person its owner.

    Vaults are as they were, with secrets and policies; agents come back switched off and without a key, for nothing
    acts before its owner says so. Problem 404 for an unknown organisation or person, 409 where somebody belongs to
    the organisation, and for a person whom another one cannot spare. Without a person it can be asked again.
    """
    person = None if owner_email is None else await _person(connection, owner_email)
    await repository.lock(connection, org_id, *([] if person is None else [person.org_id]))
    await platform_admin(await still(connection, caller))
    organisation = (
        await connection.execute(select(Organisation.closed_at).where(Organisation.id == org_id))
    ).one_or_none()
    if organisation is None:
        raise not_found("No such organisation")
    if await repository.has_member(connection, org_id):
        raise conflict("Somebody belongs to this organisation: its owners and admins undo what was done there")
    vaults, agents = await _bring_back(connection, org_id, organisation.closed_at)
    details: dict[str, object] = {"restored_vaults": vaults, "restored_agents": agents}
    if person is not None:
        await _make_owner(connection, person, org_id)
        details["owner"] = str(person.id)
    await write_in(connection, caller, org_id, "org.restore", "organisation", org_id, **details)
    owner_id = None if person is None else str(person.id)
    return ReopenedOrgResponse(org_id=str(org_id), vaults=vaults, agents=agents, owner_id=owner_id)


async def _bring_back(connection: AsyncConnection, org_id: UUID, closed_at: datetime | None) -> tuple[int, int]:
    """How many vaults and agents came back; neither where it was left by other ways than closing the last account."""
    if closed_at is None:
        return 0, 0
    vaults = await connection.execute(
        update(Vault)
        .where(Vault.org_id == org_id, Vault.deleted_at == closed_at)
        .values(deleted_at=None, deleted_by=None)
    )
    agents = await connection.execute(
        update(Agent)
        .where(Agent.org_id == org_id, Agent.deleted_at == closed_at)
        # tokens from before must not count when it is switched on
        .values(deleted_at=None, is_active=False, token_version=Agent.token_version + 1)
    )
    await connection.execute(update(Organisation).where(Organisation.id == org_id).values(closed_at=None))
    return vaults.rowcount, agents.rowcount


async def _person(connection: AsyncConnection, email: str) -> AnyRow:
    statement = (
        select(User.id, User.email, Membership.org_id, Membership.role)
        .join(Membership, Membership.user_id == User.id)
        .where(User.email == parse_email(email), User.deleted_at.is_(None))
    )
    person = (await connection.execute(statement)).one_or_none()
    if person is None:
        raise not_found("owner_email: nobody has an account with this address")
    return person


async def _make_owner(connection: AsyncConnection, person: AnyRow, org_id: UUID) -> None:
    role = await repository.role_of(connection, person.org_id, person.id)
    if role is None:
        raise conflict("This person has just changed organisations; try again")
    if (
        role == "owner"
        and not await repository.has_owner(connection, person.org_id, besides=person.id)
        and await repository.has_anything(connection, person.org_id, besides=person.id)
    ):
        raise conflict("This person is the last owner of an organisation that has members, vaults or agents")
    await repository.move(connection, person.id, person.org_id, org_id, "owner")
    for of, action in ((person.org_id, "org.member_remove"), (org_id, "org.member_join")):
        await write(
            connection,
            org_id=of,
            actor_type="system",
            actor_id="talon",
            action=action,
            resource_type="user",
            resource_id=person.id,
            details={"email": person.email, "role": "owner", "reason": "made the owner of a restored organisation"},
        )
