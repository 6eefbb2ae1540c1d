"""What the vault says about an agent's wish: may it act, within which limits, with which key.

Read twice: once before the chain is asked, and again under the locks, because a human may have said stop meanwhile.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chains.chain import Chain
from guardrails.limits import Limits
from intents.draft import Draft
from vault.agents.guardrails import AgentGuardrails
from vault.agents.repository import load_guardrails
from vault.auth.again import still
from vault.auth.caller import Caller
from vault.errors import conflict, forbidden
from vault.freezes import gate
from vault.networks.service import resolve_chain, resolve_chains
from vault.restores import gate as restored
from vault.secrets.signing_key import SigningKey, find_signing_key


@dataclass(frozen=True)
class Grounds:
    """The key that the agent may use, and the limits it is under."""

    key: SigningKey
    limits: Limits


async def hold(connection: AsyncConnection, caller: Caller) -> AgentGuardrails:
    """Share-lock the agent's row to the end of the transaction: a human's change of it comes before, or waits."""
    return await load_guardrails(connection, caller.id, share_lock=True)


async def pass_gate(connection: AsyncConnection, caller: Caller, agent: AgentGuardrails) -> datetime:
    """Pass the gate of the freezes and return when; `agent` is what `hold` gave. 403 for one that may not sign.

    From that moment to the commit no freeze and no rule on addresses comes between, and a human's stop waits for us.
    Behind it the gate of restored copies: 503 where this one is found to be old by now.
    """
    require_usable(agent)
    await gate.require_open(connection, caller.org_id, caller.id, binding=True)
    await restored.require_open(connection, binding=True)
    # not before: while we waited here nobody waited for us
    return datetime.now(UTC)


async def read(connection: AsyncConnection, caller: Caller, draft: Draft, agent: AgentGuardrails) -> Grounds:
    """For the last time, behind every lock that is waited for: key and limits for this caller and draft.

    `agent` is what `hold` gave, the gate is passed. The caller is read anew too: what ended or narrowed its
    credential by now counts. 400 to 410, as the vault says.
    """
    chain = await resolve_chain(connection, draft.chain.chain_id)
    if draft.chain.genesis_hash not in (None, chain.genesis_hash):
        raise conflict(f"{chain.name} was reset just now; nothing was signed, try again.")
    limits = await limits_of(connection, agent, chain)
    caller = await still(connection, caller)
    return Grounds(await find_signing_key(connection, caller, draft.signing_key_path), limits)


async def read_limits(connection: AsyncConnection, caller: Caller, draft: Draft) -> Limits:
    """For the first time, without a lock: what the limits forbid is forbidden whether a key lies there or not."""
    agent = await load_guardrails(connection, caller.id)
    require_usable(agent)
    await gate.require_open(connection, caller.org_id, caller.id, binding=False)
    return await limits_of(connection, agent, draft.chain)


def require_usable(agent: AgentGuardrails) -> None:
    """403 for an agent that is deactivated, or has no Intents API."""
    if not agent.is_active:
        raise forbidden("This agent is deactivated")
    if not agent.intents_api_enabled:
        raise forbidden("The Intents API is not enabled for this agent; a human can switch it on.")


async def limits_of(connection: AsyncConnection, guardrails: AgentGuardrails, chain: Chain) -> Limits:
    """The agent's guardrails in the form the rules read; an empty list is unrestricted, as the contract says."""
    allowed: frozenset[int] | None = None
    if guardrails.allowed_chains:
        # a name that no longer resolves allows nothing, it does not lift the restriction
        allowed = await resolve_chains(connection, guardrails.allowed_chains)
    return Limits(
        allowed_chain_ids=allowed,
        allowed_destinations=frozenset(guardrails.allowed_destinations) or None,
        max_value_wei=guardrails.max_value_wei,
        daily_limit_wei=guardrails.daily_limit_wei,
        max_gas_cost_wei=chain.max_gas_cost_wei,
    )
