"""Statements about people, keys and tokens; each finds or changes rows and decides nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, and_, bindparam, delete, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from vault.agents.models import Agent
from vault.auth.caller import Caller
from vault.auth.models import ApiKey, RevokedToken, User, WebSession
from vault.auth.tokens import Claims
from vault.clock.now import believed_now, latest_now
from vault.columns import AnyRow
from vault.orgs.models import Membership
from vault.security.blocked import address_parameter, is_blocked

ACTIVITY_RESOLUTION_S = 60
MAX_SAME_PREFIX = 8
PURGE_BATCH = 100


def _stale(moment: Any) -> ColumnElement[bool]:
    return or_(moment.is_(None), moment < func.now() - text(f"interval '{ACTIVITY_RESOLUTION_S} seconds'"))


def _unexpired(moment: Any) -> ColumnElement[bool]:
    # not now(), the transaction's beginning: in one that waited for locks, an expiry may have been set since
    return or_(moment.is_(None), moment > latest_now())


_NOT_REVOKED = ~exists().where(RevokedToken.jti == bindparam("jti"))
_AGENT_LIVE = and_(Agent.is_active, Agent.deleted_at.is_(None), _unexpired(Agent.expires_at))
_AGENT = select(
    Agent.id,
    Agent.org_id,
    Agent.scopes,
    Agent.vault_ids,
    Agent.intents_api_enabled,
    Agent.token_version,
    _stale(Agent.last_active_at).label("is_activity_stale"),
    is_blocked(Agent.org_id, "agent").label("is_address_blocked"),
)
_AGENT_OF_TOKEN = _AGENT.where(
    Agent.id == bindparam("id"),
    Agent.org_id == bindparam("org_id"),
    Agent.token_version == bindparam("version"),
    _AGENT_LIVE,
    _NOT_REVOKED,
)
_AGENTS_BY_PREFIX = (
    _AGENT.add_columns(
        Agent.key_hash,
        Agent.token_ttl_seconds,
        Agent.is_active,
        func.coalesce(_AGENT_LIVE, False).label("is_live"),
    )
    .where(Agent.key_prefix == bindparam("prefix"), Agent.deleted_at.is_(None))
    .limit(MAX_SAME_PREFIX)
)

_KEY_LIVE = and_(ApiKey.revoked_at.is_(None), _unexpired(ApiKey.expires_at))
_USER = select(
    User.id,
    User.is_platform_admin,
    User.token_version,
    Membership.org_id,
    Membership.role,
    ApiKey.scopes,
    is_blocked(Membership.org_id, "user").label("is_address_blocked"),
).where(User.is_active, User.deleted_at.is_(None))
# A token that was exchanged for a personal key counts only as long as that key does, within that key's scopes.
_USER_OF_TOKEN = (
    _USER.join_from(User, Membership, Membership.user_id == User.id)
    .outerjoin(ApiKey, and_(ApiKey.id == bindparam("key_id"), ApiKey.user_id == User.id, _KEY_LIVE))
    .where(
        User.id == bindparam("id"),
        Membership.org_id == bindparam("org_id"),
        User.token_version == bindparam("version"),
        or_(bindparam("is_of_key").is_(False), ApiKey.id.is_not(None)),
        _NOT_REVOKED,
    )
)
# The same of somebody who was let in before. What hangs on no version is a personal key, or a session that still is.
_USER_AGAIN = (
    _USER.join_from(User, Membership, Membership.user_id == User.id)
    .outerjoin(ApiKey, and_(ApiKey.id == bindparam("key_id"), ApiKey.user_id == User.id, _KEY_LIVE))
    .where(
        User.id == bindparam("id"),
        Membership.org_id == bindparam("org_id"),
        or_(bindparam("version", type_=Integer).is_(None), User.token_version == bindparam("version")),
        or_(bindparam("is_of_key").is_(False), ApiKey.id.is_not(None)),
        or_(bindparam("is_of_session").is_(False), exists().where(WebSession.token_hash == bindparam("session"))),
        _NOT_REVOKED,
    )
)
_USERS_BY_PREFIX = (
    _USER.join_from(User, Membership, Membership.user_id == User.id)
    .join(ApiKey, ApiKey.user_id == User.id)
    .add_columns(
        ApiKey.id.label("key_id"),
        ApiKey.key_hash,
        _stale(ApiKey.last_used_at).label("is_use_stale"),
    )
    .where(ApiKey.key_prefix == bindparam("prefix"), _KEY_LIVE)
    .limit(MAX_SAME_PREFIX)
)


async def agent_of_token(connection: AsyncConnection, claims: Claims, address: str | None) -> AnyRow | None:
    """The agent a token speaks for, if both still count; `is_address_blocked` says whether it may from `address`."""
    found = await connection.execute(
        _AGENT_OF_TOKEN,
        {
            "id": claims.principal_id,
            "org_id": claims.org_id,
            "version": claims.version,
            "jti": claims.token_id,
            **address_parameter(address),
        },
    )
    return found.one_or_none()


async def user_of_token(connection: AsyncConnection, claims: Claims, address: str | None) -> AnyRow | None:
    """The person a token speaks for, if both (and the key it was exchanged for) still count."""
    found = await connection.execute(
        _USER_OF_TOKEN,
        {
            "id": claims.principal_id,
            "org_id": claims.org_id,
            "version": claims.version,
            "jti": claims.token_id,
            "key_id": claims.key_id,
            "is_of_key": claims.key_id is not None,
            **address_parameter(address),
        },
    )
    return found.one_or_none()


async def agent_again(connection: AsyncConnection, caller: Caller) -> AnyRow | None:
    """The row of an agent that was let in before, if its credential counts still (a token's own end aside)."""
    found = await connection.execute(
        _AGENT_OF_TOKEN,
        {
            "id": caller.id,
            "org_id": caller.org_id,
            # null equals nothing: who hangs on no version is nobody's agent
            "version": caller.version,
            "jti": caller.token_id,
            **address_parameter(caller.ip_address),
        },
    )
    return found.one_or_none()


async def user_again(connection: AsyncConnection, caller: Caller) -> AnyRow | None:
    """The same of a person."""
    found = await connection.execute(
        _USER_AGAIN,
        {
            "id": caller.id,
            "org_id": caller.org_id,
            "version": caller.version,
            "jti": caller.token_id,
            "key_id": caller.key_id,
            "is_of_key": caller.key_id is not None,
            "is_of_session": caller.session is not None,
            "session": caller.session,
            **address_parameter(caller.ip_address),
        },
    )
    return found.one_or_none()


async def agents_by_prefix(connection: AsyncConnection, prefix: str, address: str | None) -> Sequence[AnyRow]:
    """Agents whose key begins so, with its digest; `is_live` says whether the agent may act at all."""
    return (await connection.execute(_AGENTS_BY_PREFIX, {"prefix": prefix, **address_parameter(address)})).all()


async def users_by_prefix(connection: AsyncConnection, prefix: str, address: str | None) -> Sequence[AnyRow]:
    """People with a live personal key that begins so, with its digest."""
    return (await connection.execute(_USERS_BY_PREFIX, {"prefix": prefix, **address_parameter(address)})).all()


async def touch_agent(connection: AsyncConnection, agent_id: UUID) -> None:
    """Note that the agent was active; skipped when another request is just noting it."""
    free = select(Agent.id).where(Agent.id == agent_id).with_for_update(skip_locked=True, key_share=True)
    await connection.execute(
        update(Agent).where(Agent.id == free.scalar_subquery()).values(last_active_at=func.now())
    )


async def touch_api_key(connection: AsyncConnection, key_id: UUID) -> None:
    """Note that the personal key was used; skipped when another request is just noting it."""
    free = select(ApiKey.id).where(ApiKey.id == key_id).with_for_update(skip_locked=True, key_share=True)
    await connection.execute(
        update(ApiKey).where(ApiKey.id == free.scalar_subquery()).values(last_used_at=func.now())
    )


async def revoke_token(connection: AsyncConnection, jti: str, expires_at: datetime) -> bool:
    """Remember a token as revoked until it has expired, and forget some that have; False if it was already."""
    old = select(RevokedToken.jti).where(RevokedToken.expires_at < believed_now() - text("interval '1 hour'"))
    await connection.execute(
        delete(RevokedToken).where(RevokedToken.jti.in_(old.limit(PURGE_BATCH).with_for_update(skip_locked=True)))
    )
    statement = insert(RevokedToken).values(jti=jti, expires_at=expires_at)
    added = await connection.execute(statement.on_conflict_do_nothing().returning(RevokedToken.jti))
    return added.one_or_none() is not None
