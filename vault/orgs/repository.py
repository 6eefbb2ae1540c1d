"""Statements about organisations and their members; each finds or changes rows and decides nothing."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.agents.models import Agent
from vault.auth.models import User
from vault.columns import AnyRow
from vault.orgs.models import Membership, Organisation
from vault.policies.models import Policy
from vault.schemas import Page
from vault.vaults.models import Vault

_MEMBER = select(
    User.id, User.email, User.display_name, User.auth_method, Membership.role, Membership.created_at
).join_from(Membership, User, User.id == Membership.user_id)


async def create_organisation(connection: AsyncConnection, name: str) -> UUID:
    """Insert an organisation and return its id."""
    org_id = uuid4()
    await connection.execute(insert(Organisation).values(id=org_id, name=name))
    return org_id


async def add_member(connection: AsyncConnection, org_id: UUID, user_id: UUID, role: str) -> None:
    """Make a user a member (`role`: owner, admin or member); IntegrityError if it is in one already."""
    await connection.execute(insert(Membership).values(org_id=org_id, user_id=user_id, role=role))


async def lock(connection: AsyncConnection, *org_ids: UUID) -> None:
    """Until the transaction ends nobody else changes who belongs to these organisations, or their rules.

    Taken in one order, so that two people who swap organisations do not wait for each other.
    """
    statement = select(Organisation.id).where(Organisation.id.in_(org_ids)).order_by(Organisation.id)
    await connection.execute(statement.with_for_update(key_share=True))


async def name_of(connection: AsyncConnection, org_id: UUID) -> str:
    """What an organisation is called."""
    return str((await connection.execute(select(Organisation.name).where(Organisation.id == org_id))).scalar_one())


async def members(connection: AsyncConnection, org_id: UUID, page: Page) -> Sequence[AnyRow]:
    """A page of an organisation's people, by when they joined."""
    statement = _MEMBER.where(Membership.org_id == org_id).order_by(Membership.created_at, User.id)
    return (await connection.execute(statement.limit(page.limit).offset(page.offset))).all()


async def member(connection: AsyncConnection, org_id: UUID, user_id: UUID) -> AnyRow | None:
    """One of an organisation's people."""
    statement = _MEMBER.where(Membership.org_id == org_id, Membership.user_id == user_id)
    return (await connection.execute(statement)).one_or_none()


async def role_of(connection: AsyncConnection, org_id: UUID, user_id: UUID) -> str | None:
    """A person's role in an organisation; None for somebody who is not in it (any more)."""
    statement = select(Membership.role).where(Membership.org_id == org_id, Membership.user_id == user_id)
    return (await connection.execute(statement)).scalar_one_or_none()


async def is_member_address(connection: AsyncConnection, org_id: UUID, email: str) -> bool:
    """Whether somebody with this (lower-case) address is in the organisation."""
    statement = _MEMBER.where(Membership.org_id == org_id, User.email == email)
    return (await connection.execute(statement)).one_or_none() is not None


async def has_owner(connection: AsyncConnection, org_id: UUID, *, besides: UUID | None = None) -> bool:
    """Whether an organisation has an owner, other than `besides`."""
    statement = select(exists().where(Membership.org_id == org_id, Membership.role == "owner", _other(besides)))
    return bool((await connection.execute(statement)).scalar_one())


async def has_other_member(connection: AsyncConnection, org_id: UUID, *, besides: UUID) -> bool:
    """Whether an organisation has a member other than `besides`."""
    statement = select(exists().where(Membership.org_id == org_id, _other(besides)))
    return bool((await connection.execute(statement)).scalar_one())


async def has_member(connection: AsyncConnection, org_id: UUID) -> bool:
    """Whether anybody belongs to an organisation."""
    return bool((await connection.execute(select(exists().where(Membership.org_id == org_id)))).scalar_one())


async def has_anything(connection: AsyncConnection, org_id: UUID, *, besides: UUID) -> bool:
    """Whether an organisation has another member, a live vault or a live agent."""
    person = exists().where(Membership.org_id == org_id, _other(besides))
    # the vault of agents' keys goes with its agents
    vault = exists().where(Vault.org_id == org_id, Vault.deleted_at.is_(None), ~Vault.is_system)
    agent = exists().where(Agent.org_id == org_id, Agent.deleted_at.is_(None))
    return bool((await connection.execute(select(person | vault | agent))).scalar_one())


async def set_role(connection: AsyncConnection, user_id: UUID, role: str) -> None:
    """Give a member another role."""
    await connection.execute(update(Membership).where(Membership.user_id == user_id).values(role=role))


async def move(connection: AsyncConnection, user_id: UUID, from_org: UUID, to_org: UUID, role: str) -> None:
    """Take a person from one organisation to another.

    What was granted in the old one is gone for good, and so is every token and session: they name the organisation.
    """
    await connection.execute(
        update(Membership)
        .where(Membership.user_id == user_id)
        .values(org_id=to_org, role=role, created_at=func.now())
    )
    await connection.execute(
        delete(Policy).where(
            Policy.principal_type == "user",
            Policy.principal_id == user_id,
            Policy.vault_id.in_(select(Vault.id).where(Vault.org_id == from_org)),
        )
    )
    await connection.execute(update(User).where(User.id == user_id).values(token_version=User.token_version + 1))


def _other(user_id: UUID | None) -> Any:
    return Membership.user_id != user_id if user_id is not None else True
