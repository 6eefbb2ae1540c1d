"""Statements about agents; deleted ones are invisible to all of them."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import parse_address
from vault.agents.guardrails import AgentGuardrails
from vault.agents.models import Agent
from vault.columns import AnyRow
from vault.errors import not_found
from vault.schemas import Page
from vault.vaults.models import Vault

_LIVE = Agent.deleted_at.is_(None)
_COLUMNS = Agent.__table__.columns

_GUARDRAILS = select(
    Agent.id,
    Agent.org_id,
    Agent.is_active,
    Agent.intents_api_enabled,
    Agent.tx_allowed_chains,
    Agent.tx_to_allowlist,
    Agent.tx_max_value_wei,
    Agent.tx_daily_limit_wei,
)


async def load_guardrails(
    connection: AsyncConnection, agent_id: UUID, *, share_lock: bool = False
) -> AgentGuardrails:
    """The limits as they are at this moment in this transaction; Problem 404 for a deleted or unknown agent.

    With `share_lock` nobody changes them before this transaction ends.
    """
    query = _GUARDRAILS.where(Agent.id == agent_id, _LIVE)
    query = query.with_for_update(read=True) if share_lock else query
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise not_found("No such agent")
    return AgentGuardrails(
        agent_id=row.id,
        org_id=row.org_id,
        is_active=row.is_active,
        intents_api_enabled=row.intents_api_enabled,
        allowed_chains=tuple(row.tx_allowed_chains),
        allowed_destinations=tuple(parse_address(text) for text in row.tx_to_allowlist),
        max_value_wei=row.tx_max_value_wei,
        daily_limit_wei=row.tx_daily_limit_wei,
    )


async def agent_org(connection: AsyncConnection, agent_id: UUID) -> UUID | None:
    """The organisation an agent belongs to, or belonged to before it was deleted: its history stays readable."""
    return (await connection.execute(select(Agent.org_id).where(Agent.id == agent_id))).scalar_one_or_none()


async def insert_agent(connection: AsyncConnection, values: Mapping[str, Any]) -> AnyRow:
    """Insert one agent and return its row."""
    return (await connection.execute(insert(Agent).values(**values).returning(*_COLUMNS))).one()


async def unknown_vaults(connection: AsyncConnection, org_id: UUID, vault_ids: Collection[UUID]) -> set[UUID]:
    """Which of these are no live vaults of the organisation."""
    if not vault_ids:
        return set()
    mine = select(Vault.id).where(Vault.id.in_(vault_ids), Vault.org_id == org_id, Vault.deleted_at.is_(None))
    return set(vault_ids) - set((await connection.execute(mine)).scalars())


async def find(connection: AsyncConnection, org_id: UUID, agent_id: UUID, *, lock: bool = False) -> AnyRow | None:
    """An organisation's agent; `lock` keeps it as it is until the transaction ends."""
    statement = select(*_COLUMNS).where(Agent.id == agent_id, Agent.org_id == org_id, _LIVE)
    if lock:
        statement = statement.with_for_update(key_share=True)
    return (await connection.execute(statement)).one_or_none()


async def listed(connection: AsyncConnection, org_id: UUID, page: Page) -> list[AnyRow]:
    """An organisation's agents, oldest first."""
    statement = (
        select(*_COLUMNS)
        .where(Agent.org_id == org_id, _LIVE)
        .order_by(Agent.created_at, Agent.id)
        .limit(page.limit)
        .offset(page.offset)
    )
    return list((await connection.execute(statement)).all())


async def change(connection: AsyncConnection, agent_id: UUID, values: Mapping[str, Any]) -> AnyRow:
    """Set columns of an agent that the caller has locked, and return the row."""
    statement = update(Agent).where(Agent.id == agent_id).values(updated_at=func.now(), **values).returning(*_COLUMNS)
    return (await connection.execute(statement)).one()
