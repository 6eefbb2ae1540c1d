"""What a caller may do in a vault, read from the database in one statement and decided by `vault.policies.decide`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from vault.auth.again import still
from vault.auth.caller import Caller
from vault.clock.now import LATEST_NOW
from vault.errors import Problem, forbidden, not_found
from vault.metrics import counts
from vault.policies.conditions import Conditions, ConditionsError, parse_conditions
from vault.policies.decide import (
    Grant,
    Granted,
    Permission,
    Refused,
    VaultFacts,
    decide,
    is_creator,
    refuse_vault,
)

# the database's clock decides what has expired, the same for every process; stepped back it revives nothing
_SELECT = text(
    f"""
    SELECT v.id, v.org_id, v.name, v.description, v.created_by, v.created_by_type, v.created_at,
           p.id AS policy_id, p.secret_path_pattern, p.permissions, p.conditions, p.expires_at,
           {LATEST_NOW} AS now
    FROM vaults v
    LEFT JOIN policies p
      ON p.vault_id = v.id AND p.principal_id = :principal_id AND p.principal_type = :principal_type
    WHERE v.id = :vault_id AND v.org_id = :org_id AND v.deleted_at IS NULL
    ORDER BY p.created_at, p.id
    """  # noqa: S608 - made of a constant
)


@dataclass(frozen=True)
class Access:
    """A caller in front of a vault of its own organisation; ask it before you say whether anything exists."""

    caller: Caller
    vault: VaultFacts
    name: str
    description: str
    created_at: datetime
    grants: tuple[Grant, ...]
    now: datetime

    def decide(self, path: str, permission: Permission) -> Granted | Refused:
        """The decision for one path, as a value."""
        return decide(self.caller, self.vault, self.grants, path, permission, self.now)

    def may(self, path: str, permission: Permission) -> bool:
        """The decision for one path, as yes or no."""
        return isinstance(self.decide(path, permission), Granted)

    def require(self, path: str, permission: Permission) -> None:
        """Raise 403 unless allowed. Call it before looking whether the path exists."""
        decision = self.decide(path, permission)
        if not isinstance(decision, Granted):
            raise refusal(decision)

    @property
    def created_it(self) -> bool:
        """Whether the caller made this vault."""
        return is_creator(self.caller, self.vault)

    @property
    def has_grant(self) -> bool:
        """Whether a policy that has not expired speaks of the caller here, wherever and whenever it counts."""
        return any(grant.expires_at is None or grant.expires_at > self.now for grant in self.grants)

    def require_bound(self) -> None:
        """Raise 403 for an agent that is bound to other vaults only."""
        refused = refuse_vault(self.caller, self.vault)
        if refused is not None:
            raise refusal(refused)

    def require_visible(self) -> None:
        """Raise 403 unless the caller may know this vault: people of the organisation, its creator, grantees."""
        self.require_bound()
        if self.caller.is_agent and not (self.created_it or self.has_grant):
            raise forbidden("No policy grants this agent access to this vault")

    @property
    def manages(self) -> bool:
        """Whether the caller may manage this vault and its policies: its creator, or an owner or admin.

        A credential narrowed to some paths manages nothing: it could grant what it may not read itself.
        """
        if refuse_vault(self.caller, self.vault) is not None:
            return False
        if self.caller.scopes is not None:
            return False
        return self.created_it or (not self.caller.is_agent and self.caller.is_org_admin)

    def require_manager(self) -> None:
        """Raise 403 unless the caller may manage this vault and its policies."""
        self.require_bound()
        if not self.manages:
            raise forbidden("Only the vault's creator or an owner or admin of the organisation may do this")


async def load_access(transaction: AsyncConnection | AsyncSession, caller: Caller, vault_id: UUID) -> Access:
    """The caller's access to a vault; 404 when it is unknown, deleted or another organisation's."""
    found = await transaction.execute(
        _SELECT,
        {
            "vault_id": vault_id,
            "org_id": caller.org_id,
            "principal_id": caller.id,
            "principal_type": caller.kind,
        },
    )
    rows = found.mappings().all()
    if not rows:
        raise not_found("Vault not found")
    first = rows[0]
    return Access(
        caller=caller,
        vault=vault_facts(first),
        name=first["name"],
        description=first["description"],
        created_at=first["created_at"],
        grants=tuple(grant_of(row, caller) for row in rows if row["policy_id"] is not None),
        now=first["now"],
    )


async def load_access_again(transaction: AsyncConnection, caller: Caller, vault_id: UUID) -> Access:
    """The same behind locks, where seconds may have gone by: the caller, too, is read anew (401, 403)."""
    return await load_access(transaction, await still(transaction, caller), vault_id)


def vault_facts(row: Mapping[Any, Any]) -> VaultFacts:
    """The vault's columns of a row as the decision reads them."""
    return VaultFacts(row["id"], row["org_id"], row["created_by"], row["created_by_type"])


def grant_of(row: Mapping[Any, Any], caller: Caller) -> Grant:
    """The policy's columns of a row that was selected by this very caller as its principal."""
    return Grant(
        id=row["policy_id"],
        vault_id=row["id"],
        principal_type=caller.kind,
        principal_id=caller.id,
        pattern=row["secret_path_pattern"],
        permissions=frozenset(row["permissions"]),
        conditions=_conditions(row["conditions"]),
        expires_at=row["expires_at"],
    )


def refusal(refused: Refused) -> Problem:
    """The 403 for a refusal."""
    counts.denied("policy", refused.step)
    return forbidden(refused.detail)


def _conditions(raw: Mapping[str, Any] | None) -> Conditions | None:
    try:
        return parse_conditions(raw)
    except ConditionsError:
        # stored by another version, or its time zone is gone: what cannot be understood never grants
        return None
