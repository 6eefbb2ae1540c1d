"""Find the HSM key an agent may sign with. On the way of every transaction: one statement, one pure decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from vault.auth.caller import Caller
from vault.clock.now import LATEST_NOW
from vault.errors import bad_request, conflict, forbidden, gone, not_found
from vault.policies.access import grant_of, refusal, vault_facts
from vault.policies.decide import Grant, Granted, Refused, VaultFacts, decide
from vault.secrets.paths import check_path

# Starts from the caller's own grants and vaults, so that the size of the organisation does not matter. A vault
# comes back once per grant of the caller (and once more if the caller made it), with the current version (a signing
# key before anything else) at the path, or nulls. No more joins than these: planning them is most of what this
# statement costs.
_SELECT = text(
    f"""
    SELECT v.id, v.org_id, v.created_by, v.created_by_type,
           r.policy_id, r.secret_path_pattern, r.permissions, r.conditions, r.expires_at,
           s.id AS secret_id, k.version, k.key_id, k.address, k.unconfirmed, k.expires_at AS key_expires_at,
           (SELECT secret_id FROM agent_signing_keys WHERE agent_id = :principal_id AND path = :path) AS bound_to,
           {LATEST_NOW} AS now
    FROM (
        SELECT vault_id, id AS policy_id, secret_path_pattern, permissions, conditions, expires_at FROM policies
        WHERE principal_id = :principal_id AND principal_type = :principal_type
        UNION ALL
        SELECT id, NULL, NULL, NULL, NULL, NULL FROM vaults
        WHERE created_by = :principal_id AND created_by_type = :principal_type
    ) r
    JOIN vaults v ON v.id = r.vault_id AND v.org_id = :org_id AND v.deleted_at IS NULL
    LEFT JOIN secrets s ON s.vault_id = v.id AND s.path = :path AND s.deleted_at IS NULL
    LEFT JOIN LATERAL (
        SELECT version, key_id, address, unconfirmed, expires_at FROM secret_versions
        WHERE secret_id = s.id AND disabled_at IS NULL AND deleted_at IS NULL
        ORDER BY (key_id IS NULL OR unconfirmed), version DESC LIMIT 1
    ) k ON true
    ORDER BY v.created_at, v.id
    """  # noqa: S608 - made of a constant
)


@dataclass(frozen=True)
class SigningKey:
    """A key behind the HSM, by reference; `address` is its 20-byte account.

    `is_bound` says whether the agent's path stands for this secret already, or would from a first signature on.
    """

    key_id: UUID
    address: bytes
    vault_id: UUID
    secret_id: UUID
    is_bound: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class _Candidate:
    """A vault within reach and what lies at the path there; `key_id` is None when it is no HSM key.

    `bound_to` is the secret that the agent's path stands for, in whatever vault; None before the first signature.
    """

    vault: VaultFacts
    secret_id: UUID | None
    version: int | None
    key_id: UUID | None
    address: bytes | None
    is_unconfirmed: bool
    expires_at: datetime | None
    now: datetime
    bound_to: UUID | None
    grants: tuple[Grant, ...]


async def find_signing_key(transaction: AsyncConnection | AsyncSession, caller: Caller, path: str) -> SigningKey:
    """The key that `path` stands for: what it is bound to, if the caller may read that path there.

    Before it is bound it is the key in the first vault where the caller may read that path and something is there;
    vaults come in the order of the agent's `vault_ids`, else oldest first. Needs a live read policy (or having
    created the vault) although the agent can never read the key itself. Raises 400 for a bad path or a secret
    that is no HSM key, 403 when no policy covers the path anywhere or an agent brought the key, 404 when one does
    but no key is there, 409 when one lies in another vault than the bound one alone, 410 when it has expired.
    """
    check_path(path, field="signing_key_path")
    found = await transaction.execute(
        _SELECT,
        {
            "principal_id": caller.id,
            "principal_type": caller.kind,
            "org_id": caller.org_id,
            "path": path,
        },
    )
    return choose(caller, path, _candidates(caller, found.mappings().all()))


def choose(caller: Caller, path: str, candidates: Sequence[_Candidate]) -> SigningKey:
    """Pick among candidates in the order given (oldest vault first), or raise as `find_signing_key` does."""
    allowed, refused = [], []
    for candidate in candidates:
        decision = decide(caller, candidate.vault, candidate.grants, path, "read", candidate.now)
        if isinstance(decision, Granted):
            allowed.append(candidate)
        else:
            refused.append(decision)
    if not allowed:
        raise refusal(_most_telling(refused)) if refused else forbidden("No policy grants read access to this path")
    if caller.vault_ids:
        allowed.sort(key=lambda candidate: caller.vault_ids.index(candidate.vault.id))
    filled = [each for each in allowed if each.secret_id is not None and each.version is not None]
    bound_to = candidates[0].bound_to
    for candidate in filled:
        if bound_to is None or candidate.secret_id == bound_to:
            return _usable(candidate, path)
    if filled:
        # whoever may share a vault could else put a key of his own in the place of the wallet
        raise conflict(
            f"This agent's {path} stands for a key in another vault than {filled[0].vault.id}, and that key is not"
            f" there for it now. An owner or admin may bind it anew: PUT /v1/agents/{caller.id}/signing-keys."
        )
    raise not_found(
        f"No signing key at {path}, or it was deleted or disabled;"
        " a human can store, generate, restore or enable one there"
    )


def _usable(candidate: _Candidate, path: str) -> SigningKey:
    if candidate.expires_at is not None and candidate.expires_at <= candidate.now:
        raise gone(f"The signing key at {path} has expired")
    if candidate.key_id is None or candidate.address is None or candidate.secret_id is None:
        raise bad_request(
            f"The secret at {path} is not a signing key: only 64 hex digits stored with type private_key, or a key"
            " made by secret-generate, can sign"
        )
    if candidate.is_unconfirmed:
        raise forbidden(
            f"The key at {path} was brought by an agent. It signs once an owner or admin has said that it may:"
            " PUT /v1/agents/{id}/signing-keys with this path and vault, and its address as ?confirm=."
        )
    is_bound = candidate.bound_to == candidate.secret_id
    return SigningKey(candidate.key_id, bytes(candidate.address), candidate.vault.id, candidate.secret_id, is_bound)


def _most_telling(refused: Sequence[Refused]) -> Refused:
    """Of several vaults' refusals the one whose cause a human could mend: scopes, then policy, then binding."""
    order = ("scopes", "policy", "binding", "organisation")
    return min(refused, key=lambda refusal_: order.index(refusal_.step))


def _candidates(caller: Caller, rows: Sequence[Mapping[Any, Any]]) -> list[_Candidate]:
    grants: dict[UUID, list[Grant]] = {}
    first: dict[UUID, Mapping[Any, Any]] = {}
    for row in rows:
        first.setdefault(row["id"], row)
        if row["policy_id"] is not None:
            grants.setdefault(row["id"], []).append(grant_of(row, caller))
    return [
        _Candidate(
            vault=vault_facts(row),
            secret_id=row["secret_id"],
            version=row["version"],
            key_id=row["key_id"],
            address=row["address"],
            is_unconfirmed=bool(row["unconfirmed"]),
            expires_at=row["key_expires_at"],
            now=row["now"],
            bound_to=row["bound_to"],
            grants=tuple(grants.get(vault_id, ())),
        )
        for vault_id, row in first.items()
    ]
