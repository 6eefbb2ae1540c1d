"""What the vault says about an agent's wish: may it act, within which limits, with which key.

Read twice: once before the chain is asked, and again under the locks, because a human may have said stop meanwhile.
"""

from dataclasses import dataclass

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
from vault.secrets.signing_key import SigningKey, find_signing_key


@dataclass(frozen=True)
class Grounds:
    """The key that the agent may use, and the limits it is under."""

    key: SigningKey
    limits: Limits


async def read(connection: AsyncConnection, caller: Caller, draft: Draft, *, binding: bool) -> Grounds:
    """Key and limits for this caller and draft; 403, 404, 400 or 410 as the vault says.

    With `binding` (see `read_limits`) the caller is read anew as well: what ended or narrowed its credential by now
    counts, with 401 or 403, and no rule on addresses changes before the commit.
    """
    limits = await read_limits(connection, caller, draft, binding=binding)
    if binding:
        caller = await still(connection, caller)
    return Grounds(await find_signing_key(connection, caller, draft.signing_key_path), limits)


async def read_limits(connection: AsyncConnection, caller: Caller, draft: Draft, *, binding: bool) -> Limits:
    """The limits alone: what they forbid is forbidden whether a key lies there or not.

    `binding` is for the last time, under the locks: the agent's row is then share-locked to the end of the
    transaction, so that a human's change either comes before the signature or waits for it, and the chain is
    looked up again.
    """
    guardrails = await load_guardrails(connection, caller.id, share_lock=binding)
    if not guardrails.is_active:
        raise forbidden("This agent is deactivated")
    await gate.require_open(connection, caller.org_id, caller.id, binding=binding)
    if not guardrails.intents_api_enabled:
        raise forbidden("The Intents API is not enabled for this agent; a human can switch it on.")
    chain = await resolve_chain(connection, draft.chain.chain_id) if binding else draft.chain
    if draft.chain.genesis_hash not in (None, chain.genesis_hash):
        raise conflict(f"{chain.name} was reset just now; nothing was signed, try again.")
    return await limits_of(connection, guardrails, chain)


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
