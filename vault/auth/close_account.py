"""Close a person's account: by the person, or by the platform's administrator."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.agents.models import Agent
from vault.audit.write import write_in
from vault.auth.again import still
from vault.auth.caller import Caller
from vault.auth.dependencies import platform_admin, whole_person
from vault.auth.models import (
    ApiKey,
    DeviceCode,
    EmailToken,
    KnownPlace,
    MfaChallenge,
    RecoveryCode,
    SecondFactor,
    User,
    WebSession,
)
from vault.errors import conflict, not_found
from vault.orgs import repository as orgs
from vault.orgs.models import Membership, Organisation
from vault.policies.models import Policy
from vault.secrets.reach import NOTHING, require_cleared
from vault.secrets.repository import key_addresses_of_org
from vault.vaults.models import Vault

_DROPPED = (RecoveryCode, SecondFactor, MfaChallenge, DeviceCode, WebSession, KnownPlace)


async def close_account(
    connection: AsyncConnection, user_id: UUID, *, actor: Caller, cleared: frozenset[bytes] = NOTHING
) -> None:
    """End an account and every credential of it at once; its address is free for somebody to sign up with again.

    Who was alone in an organisation takes it along: its agents and vaults are deleted (softly). Problem 401 or 403
    when the actor's rights were ended meanwhile, 404 for an unknown account, 409 for the last owner among other
    members and for the last platform administrator; AtRisk where signing keys go along whose addresses are not
    `cleared`.
    """
    admins = await lock_platform_admins(connection)
    if admins == [user_id]:
        raise conflict("This is the last platform administrator")
    org_id = await _org_of(connection, user_id)
    if org_id is None:
        raise not_found("No such user")
    await orgs.lock(connection, org_id)
    if await _org_of(connection, user_id) != org_id:
        raise conflict("This person has just changed organisations; try again")
    person = (
        await connection.execute(
            select(User.email, Membership.role)
            .join(Membership, Membership.user_id == User.id)
            .where(User.id == user_id)
            .with_for_update(of=User)
        )
    ).one()
    # behind the locks, and after balances were asked: the credential may have been ended, or the office lost
    may = whole_person if actor.id == user_id else platform_admin
    await may(await still(connection, actor))
    details: dict[str, Any] = {"email": person.email, "role": person.role}
    if not await orgs.has_owner(connection, org_id, besides=user_id):
        if await orgs.has_other_member(connection, org_id, besides=user_id):
            raise conflict("This is the organisation's last owner; make somebody else an owner first")
        details |= await _close_organisation(connection, org_id, cleared)
    await _forget(connection, user_id, person.email)
    await connection.execute(delete(Membership).where(Membership.user_id == user_id))
    await write_in(connection, actor, org_id, "user.delete", "user", user_id, **details)


async def lock_platform_admins(connection: AsyncConnection) -> list[UUID]:
    """The platform's administrators, who stay just these until the transaction ends."""
    statement = select(User.id).where(User.is_platform_admin, User.deleted_at.is_(None)).order_by(User.id)
    return list((await connection.execute(statement.with_for_update(key_share=True))).scalars())


async def _org_of(connection: AsyncConnection, user_id: UUID) -> UUID | None:
    statement = select(Membership.org_id).join(User, User.id == Membership.user_id)
    statement = statement.where(User.id == user_id, User.deleted_at.is_(None))
    return (await connection.execute(statement)).scalar_one_or_none()


async def _close_organisation(connection: AsyncConnection, org_id: UUID, cleared: frozenset[bytes]) -> dict[str, Any]:
    """Nothing goes on acting where nobody is left to stop it."""
    # no key comes into them from here on
    live = select(Vault.id).where(Vault.org_id == org_id, Vault.deleted_at.is_(None)).order_by(Vault.id)
    await connection.execute(live.with_for_update(key_share=True))
    keys = await key_addresses_of_org(connection, org_id)
    require_cleared(keys, cleared)
    agents = await connection.execute(
        update(Agent)
        .where(Agent.org_id == org_id, Agent.deleted_at.is_(None))
        .values(is_active=False, deleted_at=func.now(), key_prefix=None, key_hash=None)
    )
    vaults = await connection.execute(
        update(Vault).where(Vault.org_id == org_id, Vault.deleted_at.is_(None)).values(deleted_at=func.now())
    )
    # the same moment on all of it, by which it is found when the organisation is opened again
    await connection.execute(update(Organisation).where(Organisation.id == org_id).values(closed_at=func.now()))
    return {"deleted_agents": agents.rowcount, "deleted_vaults": vaults.rowcount, "addresses": len(keys)}


async def _forget(connection: AsyncConnection, user_id: UUID, email: str) -> None:
    """The row stays for the audit's sake, without anything that tells who it was or lets somebody in."""
    for model in _DROPPED:
        await connection.execute(delete(model).where(model.user_id == user_id))
    await connection.execute(delete(EmailToken).where(or_(EmailToken.email == email, EmailToken.user_id == user_id)))
    await connection.execute(delete(Policy).where(Policy.principal_type == "user", Policy.principal_id == user_id))
    await connection.execute(
        update(ApiKey).where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None)).values(revoked_at=func.now())
    )
    await connection.execute(
        update(User)
        .where(User.id == user_id)
        .values(
            email=f"deleted:{user_id}",
            password_hash=None,
            google_subject=None,
            display_name="",
            is_active=False,
            is_platform_admin=False,
            token_version=User.token_version + 1,
            deleted_at=func.now(),
        )
    )
