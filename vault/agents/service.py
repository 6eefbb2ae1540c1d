"""Agents: created, changed, re-keyed and removed by people; every change leaves an audit row beside it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.units import format_ether
from vault.agents import repository
from vault.agents.guardrails import read_guardrails
from vault.agents.models import Agent
from vault.agents.schemas import (
    AgentCreatedReply,
    AgentReply,
    AgentSelfReply,
    CreateAgentRequest,
    KeyRotatedReply,
    UpdateAgentRequest,
)
from vault.agents.spent import spent_today_by_agent
from vault.audit.write import write_for
from vault.auth import keys
from vault.auth.caller import Caller
from vault.columns import AnyRow
from vault.errors import Problem, bad_request, not_found
from vault.schemas import Page, format_time

MAX_SHROUD_CONFIG_BYTES = 65_536

_GUARDRAIL_FIELDS = frozenset({"tx_to_allowlist", "tx_allowed_chains", "tx_max_value_eth", "tx_daily_limit_eth"})
_NOT_STORED = _GUARDRAIL_FIELDS | {"llm_token_billing"}
_LISTS = frozenset({"scopes", "vault_ids"})
# Opaque to us and possibly confidential: the audit says that it changed, not how.
_NOT_AUDITED = frozenset({"shroud_config"})


async def create(connection: AsyncConnection, caller: Caller, request: CreateAgentRequest) -> AgentCreatedReply:
    """Register an agent; Problem 400 for guardrails or credentials that do not fit."""
    _check_auth_method(request)
    given = request.model_dump()
    values = await _columns(connection, given)
    made = keys.make_key(keys.AGENT) if request.auth_method == "api_key" else None
    row = await repository.insert_agent(
        connection,
        {
            **values,
            "org_id": caller.org_id,
            "created_by": caller.id,
            "key_prefix": made.prefix if made else None,
            "key_hash": made.digest if made else None,
        },
    )
    details = {name: value for name, value in values.items() if name not in _NOT_AUDITED}
    await write_for(connection, caller, "agent.register", "agent", row.id, **_plain(details))
    return AgentCreatedReply(agent=_shown(row, 0), api_key=made.text if made else None)


async def update(
    connection: AsyncConnection, caller: Caller, agent_id: UUID, request: UpdateAgentRequest
) -> AgentReply:
    """Change what the request names; the audit row tells old from new."""
    before = await _locked(connection, caller, agent_id)
    values = await _columns(connection, request.model_dump(include=request.model_fields_set))
    changed = {name: value for name, value in values.items() if getattr(before, name) != value}
    row = before
    if changed:
        row = await repository.change(connection, agent_id, changed)
        audited = [name for name in changed if name not in _NOT_AUDITED]
        await write_for(
            connection,
            caller,
            "agent.update",
            "agent",
            agent_id,
            changed=sorted(changed),
            before=_plain({name: getattr(before, name) for name in audited}),
            after=_plain({name: getattr(row, name) for name in audited}),
        )
    return (await _shown_all(connection, [row]))[0]


async def rotate_key(connection: AsyncConnection, caller: Caller, agent_id: UUID) -> KeyRotatedReply:
    """Replace the agent's key; the old one, and every token exchanged for it, ends with this transaction."""
    before = await _locked(connection, caller, agent_id)
    if before.auth_method != "api_key":
        raise bad_request("This agent has no API key: it authenticates by " + before.auth_method)
    made = keys.make_key(keys.AGENT)
    await repository.change(
        connection,
        agent_id,
        {
            "key_prefix": made.prefix,
            "key_hash": made.digest,
            "token_version": Agent.token_version + 1,
        },
    )
    await write_for(connection, caller, "agent.rotate_key", "agent", agent_id, key_prefix=made.prefix)
    return KeyRotatedReply(api_key=made.text)


async def delete(connection: AsyncConnection, caller: Caller, agent_id: UUID) -> None:
    """Hide the agent and end its access; the row stays for the audit."""
    before = await _locked(connection, caller, agent_id)
    await repository.change(
        connection,
        agent_id,
        {"is_active": False, "deleted_at": func.now(), "key_prefix": None, "key_hash": None},
    )
    await write_for(connection, caller, "agent.delete", "agent", agent_id, name=before.name)


async def get(connection: AsyncConnection, caller: Caller, agent_id: UUID) -> AgentReply:
    """One agent of the caller's organisation; Problem 404 otherwise."""
    row = await repository.find(connection, caller.org_id, agent_id)
    if row is None:
        raise _unknown()
    return (await _shown_all(connection, [row]))[0]


async def listed(connection: AsyncConnection, caller: Caller, page: Page) -> list[AgentReply]:
    """The organisation's agents, oldest first."""
    return await _shown_all(connection, await repository.listed(connection, caller.org_id, page))


async def myself(connection: AsyncConnection, caller: Caller) -> AgentSelfReply:
    """An agent's own record, without its guardrails."""
    row = await repository.find(connection, caller.org_id, caller.id)
    if row is None:
        raise _unknown()
    return AgentSelfReply(**{name: getattr(row, name) for name in AgentSelfReply.model_fields})


async def _locked(connection: AsyncConnection, caller: Caller, agent_id: UUID) -> AnyRow:
    row = await repository.find(connection, caller.org_id, agent_id, lock=True)
    if row is None:
        raise _unknown()
    return row


def _unknown() -> Problem:
    return not_found("No such agent")


async def _columns(connection: AsyncConnection, given: Mapping[str, Any]) -> dict[str, Any]:
    config = given.get("shroud_config")
    if config is not None and len(orjson.dumps(config)) > MAX_SHROUD_CONFIG_BYTES:
        raise bad_request(f"shroud_config: larger than {MAX_SHROUD_CONFIG_BYTES} bytes")
    values = {name: value for name, value in given.items() if name not in _NOT_STORED}
    for name in _LISTS & values.keys():
        values[name] = list(dict.fromkeys(values[name] or ()))
    return {**values, **await read_guardrails(connection, given)}


def _check_auth_method(request: CreateAgentRequest) -> None:
    needed = {
        "api_key": (),
        "mtls": ("client_cert_fingerprint",),
        "oidc_client_credentials": ("oidc_issuer", "oidc_client_id"),
    }[request.auth_method]
    for field in ("client_cert_fingerprint", "oidc_issuer", "oidc_client_id"):
        if field in needed and getattr(request, field) is None:
            raise bad_request(f"{field}: required when auth_method is {request.auth_method}", **{field: "required"})
        if field not in needed and getattr(request, field) is not None:
            raise bad_request(f"{field}: does not go with auth_method {request.auth_method}")


async def _shown_all(connection: AsyncConnection, rows: Sequence[AnyRow]) -> list[AgentReply]:
    spent = await spent_today_by_agent(connection, [row.id for row in rows])
    return [_shown(row, spent.get(row.id, 0)) for row in rows]


def _shown(row: AnyRow, spent_wei: int) -> AgentReply:
    plain = {name: getattr(row, name) for name in AgentReply.model_fields if not name.endswith("_eth")}
    return AgentReply(
        **plain,
        tx_max_value_eth=_ether(row.tx_max_value_wei),
        tx_daily_limit_eth=_ether(row.tx_daily_limit_wei),
        tx_spent_today_eth=format_ether(spent_wei),
    )


def _ether(wei: int | None) -> str | None:
    return None if wei is None else format_ether(wei)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-safe: wei as text (JSON numbers lose digits), ids and times in their wire form."""
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, list):
        return [_plain_value(item) for item in value]
    return format_time(value) if hasattr(value, "isoformat") else str(value)
