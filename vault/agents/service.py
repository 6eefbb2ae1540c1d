"""Agents: created, changed, re-keyed and removed by people; every change leaves an audit row beside it."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.units import format_ether
from signer.client import SignerClient
from vault.agents import identity_keys, repository
from vault.agents.guardrails import read_guardrails
from vault.agents.models import Agent
from vault.agents.schemas import (
    ALIASES,
    AgentCreatedReply,
    AgentReply,
    AgentSelfReply,
    CreateAgentRequest,
    KeyRotatedReply,
    UpdateAgentRequest,
)
from vault.agents.spent import spent_today_wei
from vault.audit.write import write_for
from vault.auth import keys
from vault.auth.again import still_admin
from vault.auth.caller import Caller
from vault.columns import AnyRow
from vault.errors import Problem, bad_request, conflict, not_found
from vault.freezes import gate
from vault.orgs.belonging import require_belonging
from vault.orgs.tiers import require_room
from vault.schemas import Page, format_time

MAX_SHROUD_CONFIG_BYTES = 65_536

_GUARDRAIL_FIELDS = frozenset({"tx_to_allowlist", "tx_allowed_chains", "tx_max_value_eth", "tx_daily_limit_eth"})
_NOT_STORED = _GUARDRAIL_FIELDS | ALIASES.keys() | {"llm_token_billing"}
_CREDENTIALS = frozenset({"client_cert_fingerprint", "oidc_issuer", "oidc_client_id"})
_LISTS = frozenset({"scopes", "vault_ids"})
# Opaque to us and possibly confidential: the audit says that it changed, not how.
_NOT_AUDITED = frozenset({"shroud_config"})


async def create(
    connection: AsyncConnection,
    signer: SignerClient,
    caller: Caller,
    request: CreateAgentRequest,
    *,
    aliases: bool = False,
) -> AgentCreatedReply:
    """Register an agent with identity keys of its own; Problem 400 for what does not fit, 409 for a used certificate.

    An `expires_at` in the past is taken: such an agent may do nothing.
    """
    _check_auth_method(request.auth_method, {name: getattr(request, name) for name in _CREDENTIALS})
    values = await _columns(connection, caller, request.model_dump())
    await require_belonging(connection, caller)
    await require_room(connection, caller.org_id, "agents")
    made = keys.make_key(keys.AGENT) if request.auth_method == "api_key" else None
    identity = identity_keys.make_keys()
    with _one_agent_per_certificate():
        row = await repository.insert_agent(
            connection,
            {
                **values,
                "id": uuid4(),
                "org_id": caller.org_id,
                "created_by": caller.id,
                "key_prefix": made.prefix if made else None,
                "key_hash": made.digest if made else None,
                "ssh_public_key": identity.ssh_public,
                "ecdh_public_key": identity.ecdh_public,
            },
        )
    vault_id = await identity_keys.store(connection, signer, caller, row.id, identity)
    await identity_keys.grant_to_registrar(connection, caller, vault_id, row.id)
    details = {name: value for name, value in values.items() if name not in _NOT_AUDITED}
    await write_for(connection, caller, "agent.register", "agent", row.id, **_plain(details))
    frozen = await gate.described(connection, [row])
    agent = _shown(row, frozen, aliases=aliases or request.uses_aliases)
    return AgentCreatedReply(agent=agent, api_key=made.text if made else None)


async def update(
    connection: AsyncConnection,
    caller: Caller,
    agent_id: UUID,
    request: UpdateAgentRequest,
    *,
    aliases: bool = False,
) -> AgentReply:
    """Change what the request names; the audit row tells old from new."""
    before = await _locked(connection, caller, agent_id)
    given = request.model_dump(include=request.model_fields_set)
    if _CREDENTIALS & given.keys():
        _check_auth_method(before.auth_method, {name: getattr(before, name) for name in _CREDENTIALS} | given)
    values = await _columns(connection, caller, given, bound=before.vault_ids)
    changed = {name: value for name, value in values.items() if getattr(before, name) != value}
    row = before
    if changed:
        # tokens from before must not count again when the agent is switched on, nor outlive their credential
        ends_tokens = changed.get("is_active") is False or bool(_CREDENTIALS & changed.keys())
        version = {"token_version": Agent.token_version + 1} if ends_tokens else {}
        with _one_agent_per_certificate():
            row = await repository.change(connection, agent_id, {**changed, **version})
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
    frozen = await gate.described(connection, [row])
    return _shown(row, frozen, aliases=aliases or request.uses_aliases)


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


async def rotate_identity_keys(
    connection: AsyncConnection, signer: SignerClient, caller: Caller, agent_id: UUID
) -> AgentReply:
    """Replace both identity pairs; the private halves become the newest versions of their secrets."""
    await _locked(connection, caller, agent_id)
    identity = identity_keys.make_keys()
    row = await repository.change(
        connection,
        agent_id,
        {"ssh_public_key": identity.ssh_public, "ecdh_public_key": identity.ecdh_public},
    )
    await identity_keys.store(connection, signer, caller, agent_id, identity)
    await write_for(
        connection,
        caller,
        "agent.rotate_identity_keys",
        "agent",
        agent_id,
        ssh_public_key=identity.ssh_public,
        ecdh_public_key=identity.ecdh_public,
    )
    return _shown(row, await gate.described(connection, [row]))


async def delete(connection: AsyncConnection, caller: Caller, agent_id: UUID) -> None:
    """Hide the agent and end its access; the row stays for the audit."""
    before = await _locked(connection, caller, agent_id)
    await repository.change(
        connection,
        agent_id,
        {"is_active": False, "deleted_at": func.now(), "key_prefix": None, "key_hash": None},
    )
    await write_for(connection, caller, "agent.delete", "agent", agent_id, name=before.name)


async def get(connection: AsyncConnection, caller: Caller, agent_id: UUID, *, aliases: bool = False) -> AgentReply:
    """One agent of the caller's organisation, with what it has spent today; Problem 404 otherwise."""
    row = await repository.find(connection, caller.org_id, agent_id)
    if row is None:
        raise _unknown()
    frozen = await gate.described(connection, [row])
    return _shown(row, frozen, aliases=aliases, spent_wei=await spent_today_wei(connection, row.id))


async def listed(
    connection: AsyncConnection, caller: Caller, page: Page, *, aliases: bool = False
) -> list[AgentReply]:
    """The organisation's agents, oldest first."""
    rows = await repository.listed(connection, caller.org_id, page)
    frozen = await gate.described(connection, rows)
    return [_shown(row, frozen, aliases=aliases) for row in rows]


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
    # a signature may have held the row: what ended the caller's rights meanwhile counts
    await still_admin(connection, caller)
    return row


def _unknown() -> Problem:
    return not_found("No such agent")


@contextmanager
def _one_agent_per_certificate() -> Iterator[None]:
    """409 when the certificate stands for another agent already."""
    try:
        yield
    except IntegrityError as error:
        if "uq_agents_client_cert_fingerprint" in str(error.orig):
            raise conflict("client_cert_fingerprint: this certificate is registered for an agent already") from None
        raise


async def _columns(
    connection: AsyncConnection, caller: Caller, given: Mapping[str, Any], *, bound: Collection[UUID] = ()
) -> dict[str, Any]:
    """The columns to write. An agent may stay bound to vaults that are gone, but not become so."""
    config = given.get("shroud_config")
    if config is not None and len(orjson.dumps(config)) > MAX_SHROUD_CONFIG_BYTES:
        raise bad_request(f"shroud_config: larger than {MAX_SHROUD_CONFIG_BYTES} bytes")
    values = {name: value for name, value in given.items() if name not in _NOT_STORED}
    for name in _LISTS & values.keys():
        values[name] = list(dict.fromkeys(values[name] or ()))
    added = set(values.get("vault_ids", ())) - set(bound)
    if unknown := await repository.unknown_vaults(connection, caller.org_id, added):
        raise bad_request(f"vault_ids: your organisation has no vault {min(map(str, unknown))}", vault_ids="unknown")
    return {**values, **await read_guardrails(connection, given)}


def _check_auth_method(auth_method: str, given: Mapping[str, Any]) -> None:
    """400 unless the agent has just what its way to prove itself takes."""
    needed = {
        "api_key": (),
        "mtls": ("client_cert_fingerprint",),
        "oidc_client_credentials": ("oidc_issuer", "oidc_client_id"),
    }[auth_method]
    for field in sorted(_CREDENTIALS):
        if field in needed and given[field] is None:
            raise bad_request(f"{field}: required when auth_method is {auth_method}", **{field: "required"})
        if field not in needed and given[field] is not None:
            raise bad_request(f"{field}: does not go with auth_method {auth_method}")


def _shown(
    row: AnyRow, frozen: Mapping[UUID, Mapping[str, Any]], *, aliases: bool = False, spent_wei: int = 0
) -> AgentReply:
    own = [name for name in AgentReply.model_fields if not name.startswith(("tx_", "frozen_"))]
    plain = {name: getattr(row, name) for name in own} | dict(frozen.get(row.id, {}))
    amounts = {
        "tx_max_value_eth": _ether(row.tx_max_value_wei),
        "tx_daily_limit_eth": _ether(row.tx_daily_limit_wei),
        "tx_spent_today_eth": _ether(spent_wei or None),
    }
    if aliases:
        amounts |= {alias: amounts[name] for alias, name in ALIASES.items()}
    return AgentReply(
        **plain, **amounts, tx_to_allowlist=row.tx_to_allowlist, tx_allowed_chains=row.tx_allowed_chains
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
