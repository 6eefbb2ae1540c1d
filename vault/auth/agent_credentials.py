"""Agents by what they prove themselves with other than a key: a certificate, or an identity provider's client id."""

from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.agents.models import Agent
from vault.columns import AnyRow

MTLS = "mtls"
OIDC = "oidc_client_credentials"

_AGENT = select(
    Agent.id,
    Agent.org_id,
    Agent.scopes,
    Agent.vault_ids,
    Agent.intents_api_enabled,
    Agent.token_version,
    Agent.token_ttl_seconds,
    Agent.is_active,
    and_(Agent.is_active, or_(Agent.expires_at.is_(None), Agent.expires_at > func.now())).label("is_live"),
).where(Agent.deleted_at.is_(None))


async def by_fingerprint(connection: AsyncConnection, fingerprint: str) -> AnyRow | None:
    """The one agent whose certificate has this SHA-256 (lower-case hex)."""
    found = await connection.execute(
        _AGENT.where(Agent.client_cert_fingerprint == fingerprint, Agent.auth_method == MTLS)
    )
    return found.one_or_none()


async def by_client(connection: AsyncConnection, issuer: str, client_id: str, agent_id: UUID) -> AnyRow | None:
    """The agent of this id, if it is this client of this issuer; several agents may be the same."""
    mine = (Agent.id == agent_id, Agent.oidc_issuer == issuer, Agent.oidc_client_id == client_id)
    return (await connection.execute(_AGENT.where(*mine, Agent.auth_method == OIDC))).one_or_none()


async def by_id(connection: AsyncConnection, agent_id: UUID, method: str) -> AnyRow | None:
    """The agent somebody claims to be, if it proves itself by this method: its organisation hears of failures."""
    return (await connection.execute(_AGENT.where(Agent.id == agent_id, Agent.auth_method == method))).one_or_none()
