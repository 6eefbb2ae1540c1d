"""May this caller do this to this path now? One pure function over frozen data; the default is no.

The order is the contract's: organisation, vault binding, scopes, then either having created the vault or a live
policy. Having created the vault replaces only the policy: a binding or narrowed scopes still hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from vault.auth.caller import Caller
from vault.policies.conditions import Conditions
from vault.policies.glob import matches

Permission = Literal["read", "write"]
Outcome = Literal["match", "conditions", "permission", "pattern", "expired", "principal"]


@dataclass(frozen=True)
class VaultFacts:
    """The vault that is asked about."""

    id: UUID
    org_id: UUID
    created_by: UUID
    created_by_type: str


@dataclass(frozen=True)
class Grant:
    """A policy as far as a decision needs it.

    `conditions` is None when they cannot be read: such a grant never holds.
    """

    id: UUID
    vault_id: UUID
    principal_type: str
    principal_id: UUID
    pattern: str
    permissions: frozenset[str]
    conditions: Conditions | None
    expires_at: datetime | None


@dataclass(frozen=True)
class Granted:
    """Allowed, and by what; `grant` is the first policy that says so, when it is one."""

    by: Literal["creator", "policy"]
    grant: Grant | None = None


@dataclass(frozen=True)
class Refused:
    """Not allowed: which step said so, and the words for the caller (they name nothing it does not know)."""

    step: Literal["organisation", "binding", "scopes", "policy"]
    detail: str


def decide(
    caller: Caller,
    vault: VaultFacts,
    grants: Sequence[Grant],
    path: str,
    permission: Permission,
    now: datetime,
) -> Granted | Refused:
    """Whether `caller` has `permission` on `path` in `vault` at `now` (aware)."""
    refusal = refuse_vault(caller, vault)
    if refusal is not None:
        return refusal
    if caller.scopes is not None and not any(matches(scope, path) for scope in caller.scopes):
        return Refused("scopes", scope_detail(caller.scopes, path))
    if is_creator(caller, vault):
        return Granted("creator")
    for grant in grants:
        if covers(grant, caller, vault, path, permission, now):
            return Granted("policy", grant)
    return Refused("policy", f"No policy grants {permission} access to this path")


def refuse_vault(caller: Caller, vault: VaultFacts) -> Refused | None:
    """The steps that look at the vault alone: its organisation and the agent's vault binding."""
    if caller.org_id != vault.org_id:
        return Refused("organisation", "Access denied")
    if caller.vault_ids and vault.id not in caller.vault_ids:
        return Refused("binding", "This agent is not bound to this vault")
    return None


def is_creator(caller: Caller, vault: VaultFacts) -> bool:
    """Whether this very principal made the vault (a user's id and an agent's id are different things)."""
    return caller.id == vault.created_by and caller.kind == vault.created_by_type


def is_live(grant: Grant, caller: Caller, vault: VaultFacts, now: datetime) -> bool:
    """Whether the grant speaks of this caller and vault and counts at this moment from this address."""
    return _speaks_of(grant, caller, vault) and not _is_expired(grant, now) and _conditions_hold(grant, caller, now)


def covers(grant: Grant, caller: Caller, vault: VaultFacts, path: str, permission: Permission, now: datetime) -> bool:
    """Whether this one grant is live and gives `permission` on `path`."""
    return judge(grant, caller, vault, path, permission, now) == "match"


def judge(
    grant: Grant, caller: Caller, vault: VaultFacts, path: str, permission: Permission, now: datetime
) -> Outcome:
    """What becomes of one grant: `match`, or the first reason why it does not grant this."""
    if not _speaks_of(grant, caller, vault):
        return "principal"
    if _is_expired(grant, now):
        return "expired"
    if not matches(grant.pattern, path):
        return "pattern"
    if permission not in grant.permissions:
        return "permission"
    return "match" if _conditions_hold(grant, caller, now) else "conditions"


def _speaks_of(grant: Grant, caller: Caller, vault: VaultFacts) -> bool:
    return grant.vault_id == vault.id and grant.principal_type == caller.kind and grant.principal_id == caller.id


def _is_expired(grant: Grant, now: datetime) -> bool:
    return grant.expires_at is not None and grant.expires_at <= now


def _conditions_hold(grant: Grant, caller: Caller, now: datetime) -> bool:
    return grant.conditions is not None and grant.conditions.hold(caller.ip_address, now)


def scope_detail(scopes: Sequence[str], path: str) -> str:
    """The words that clients look for before they fetch a new token."""
    return "The token has no scopes" if not scopes else f"The token's scopes do not cover {path}"
