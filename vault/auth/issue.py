"""Tokens are ordered here from the signer, which makes and signs them in the HSM, and the issue is audited."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from signer.token_order import TokenOrder
from vault.audit.write import write
from vault.auth import keys, repository
from vault.auth.schemas import AgentTokenReply, TokenReply
from vault.auth.scopes import EVERYTHING, path_scopes
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import unauthorized
from vault.policies.models import Policy
from vault.security.blocked import require_allowed

MAX_DERIVED_SCOPES = 200


async def for_user(
    context: Context,
    connection: AsyncConnection,
    user_id: UUID,
    org_id: UUID,
    version: int,
    method: str,
    ip_address: str | None,
    *,
    scopes: Sequence[str] = (),
    key_id: UUID | None = None,
    ttl_s: int | None = None,
) -> TokenReply:
    """A person's token; `key_id` ties it to the personal API key it is exchanged for. Problem 403 for a blocked
    address."""
    await require_allowed(connection, org_id, "user", ip_address)
    ttl_s = ttl_s or context.options.user_token_ttl_s
    order = TokenOrder(
        kind="user",
        subject=user_id,
        org_id=org_id,
        lifetime_s=ttl_s,
        version=version,
        scopes=tuple(path_scopes(scopes) or (EVERYTHING,)),
        key_id=key_id,
    )
    issued = await context.signer.issue_token(order)
    await _audit(connection, org_id, "user", user_id, "auth.success", method, ip_address, jti=issued.token_id)
    return TokenReply(access_token=issued.token, expires_in=ttl_s)


async def for_user_key(context: Context, api_key: str, ip_address: str | None) -> TokenReply:
    """Exchange a `1ck_` key; Problem 401 unless it counts."""
    async with context.database.logins.begin() as connection:
        rows = await repository.users_by_prefix(connection, api_key[: keys.PREFIX_LENGTH], ip_address)
        matching = [row for row in rows if keys.matches(api_key, row.key_hash)]
        if not matching:
            raise unauthorized("Invalid credentials")
        found = matching[0]
        await repository.touch_api_key(connection, found.key_id)
        return await for_user(
            context,
            connection,
            found.id,
            found.org_id,
            found.token_version,
            "api_key",
            ip_address,
            scopes=found.scopes,
            key_id=found.key_id,
        )


async def for_agent_key(
    context: Context, api_key: str, agent_id: UUID | None, ip_address: str | None
) -> AgentTokenReply:
    """Exchange an `ocv_` key; Problem 401 for a wrong key, another agent's, or an agent that may not act."""
    async with context.database.begin() as connection:
        rows = await repository.agents_by_prefix(connection, api_key[: keys.PREFIX_LENGTH], ip_address)
        matching = [row for row in rows if keys.matches(api_key, row.key_hash)]
        found = matching[0] if matching else None
        if found is not None and found.is_live and agent_id in (None, found.id):
            return await for_agent(context, connection, found, "api_key", ip_address)
        for row in [found] if found is not None else rows[:1]:
            await note_agent_failure(connection, row, "api_key", ip_address)
    if found is not None and agent_id in (None, found.id):
        raise unauthorized("Agent has expired" if found.is_active else "Agent is deactivated")
    raise unauthorized("Invalid credentials")


async def for_agent(
    context: Context, connection: AsyncConnection, agent: AnyRow, method: str, ip_address: str | None
) -> AgentTokenReply:
    """The token of a live agent that has proved itself by `method`; Problem 403 for a blocked address."""
    await require_allowed(connection, agent.org_id, "agent", ip_address)
    ttl_s = agent.token_ttl_seconds or context.options.agent_token_ttl_s
    order = TokenOrder(
        kind="agent",
        subject=agent.id,
        org_id=agent.org_id,
        lifetime_s=ttl_s,
        version=agent.token_version,
        scopes=tuple(path_scopes(agent.scopes) or await _granted_patterns(connection, agent.id)),
        vault_ids=tuple(agent.vault_ids),
        intents_api_enabled=agent.intents_api_enabled,
    )
    issued = await context.signer.issue_token(order)
    await repository.touch_agent(connection, agent.id)
    await _audit(connection, agent.org_id, "agent", agent.id, "auth.success", method, ip_address, jti=issued.token_id)
    return AgentTokenReply(
        access_token=issued.token, expires_in=ttl_s, agent_id=agent.id, vault_ids=list(agent.vault_ids)
    )


async def note_agent_failure(connection: AsyncConnection, agent: AnyRow, method: str, ip_address: str | None) -> None:
    """Tell the agent's organisation that an exchange for it was refused."""
    await _audit(connection, agent.org_id, "agent", agent.id, "auth.failure", method, ip_address)


async def _granted_patterns(connection: AsyncConnection, agent_id: UUID) -> list[str]:
    """The distinct patterns of the agent's live policies: what its token says when no scopes were set.

    The claim informs clients; access is decided from the policies themselves on every request.
    """
    statement = (
        select(Policy.secret_path_pattern)
        .distinct()
        .where(
            Policy.principal_type == "agent",
            Policy.principal_id == agent_id,
            or_(Policy.expires_at.is_(None), Policy.expires_at > func.now()),
        )
        .order_by(Policy.secret_path_pattern)
        .limit(MAX_DERIVED_SCOPES)
    )
    return list((await connection.execute(statement)).scalars())


async def _audit(
    connection: AsyncConnection,
    org_id: UUID,
    kind: str,
    principal_id: UUID,
    action: str,
    method: str,
    ip_address: str | None,
    **details: Any,
) -> None:
    await write(
        connection,
        org_id=org_id,
        actor_type=kind,
        actor_id=str(principal_id),
        action=action,
        resource_type=kind,
        resource_id=principal_id,
        details={"method": method, **details},
        ip_address=ip_address,
    )
