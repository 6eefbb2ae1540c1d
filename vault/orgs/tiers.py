"""What an organisation's tier leaves room for, asked in the transaction that wants to create something."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from vault.errors import Problem

Kind = Literal["vaults", "secrets", "agents"]

# a tier past its end, or whose name nobody defined, counts as the operator's default tier; without one nothing is
# limited. An operator's exception for the organisation goes before its tier.
_STANDING = text(
    """
    SELECT coalesce(t.name, CASE WHEN coalesce(o.tier_until > clock_timestamp(), true) THEN o.tier END) AS tier,
           coalesce(t.has_cmek, true) AS has_cmek,
           coalesce(o.max_vaults, t.max_vaults) AS vaults,
           coalesce(o.max_secrets, t.max_secrets) AS secrets,
           coalesce(o.max_agents, t.max_agents) AS agents,
           o.is_sponsored OR EXISTS (
               SELECT FROM memberships m JOIN users u ON u.id = m.user_id
               WHERE m.org_id = o.id AND u.is_platform_admin AND u.deleted_at IS NULL
           ) AS is_exempt
    FROM organisations o
    LEFT JOIN LATERAL (
        SELECT * FROM tiers
        WHERE (name = o.tier AND (o.tier_until IS NULL OR o.tier_until > clock_timestamp())) OR is_default
        ORDER BY is_default AND name IS DISTINCT FROM o.tier
        LIMIT 1
    ) t ON true
    WHERE o.id = :org_id
    """
)
# not the organisation's row: whoever closes an organisation holds that one and waits for its vaults, which a secret's
# writer holds
_LOCK: Final = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('room:' || :kind || ':' || CAST(:org_id AS text), 0))"
)
# no further than the limit: what lies beyond it changes nothing
_COUNT: Final = {
    "vaults": text(
        """
        SELECT count(*) FROM (
            SELECT FROM vaults WHERE org_id = :org_id AND deleted_at IS NULL AND NOT is_system
            LIMIT :limit
        ) live
        """
    ),
    "secrets": text(
        """
        SELECT count(*) FROM (
            SELECT FROM vaults v JOIN secrets s ON s.vault_id = v.id AND s.deleted_at IS NULL
            WHERE v.org_id = :org_id AND v.deleted_at IS NULL AND NOT v.is_system
              AND s.id IS DISTINCT FROM CAST(:but AS uuid)
            LIMIT :limit
        ) live
        """
    ),
    "agents": text(
        "SELECT count(*) FROM (SELECT FROM agents WHERE org_id = :org_id AND deleted_at IS NULL LIMIT :limit) live"
    ),
}
_IS_NEW: Final = text(
    "SELECT NOT EXISTS (SELECT FROM secret_versions WHERE secret_id = :secret_id AND deleted_at IS NULL)"
)
_ONE: Final = {"vaults": "Vault", "secrets": "Secret", "agents": "Agent"}


@dataclass(frozen=True)
class Standing:
    """An organisation's tier as it counts now (None: it has none); a limit that is None does not exist."""

    tier: str | None
    has_cmek: bool
    vaults: int | None
    secrets: int | None
    agents: int | None


async def standing(transaction: AsyncConnection | AsyncSession, org_id: UUID) -> Standing:
    """What an organisation may have; one read. The platform administrator's own may have everything."""
    row = (await transaction.execute(_STANDING, {"org_id": org_id})).one()
    if row.is_exempt:
        return Standing(row.tier, True, None, None, None)
    return Standing(row.tier, row.has_cmek, row.vaults, row.secrets, row.agents)


async def require_room(
    transaction: AsyncConnection | AsyncSession, org_id: UUID, kind: Kind, but: UUID | None = None
) -> None:
    """Raise 403 when the organisation has as many as its tier allows, `but` for the secret that would be one more.

    Where a limit applies creations of the kind wait for one another until the transaction ends, so that they cannot
    exceed it together; without one nothing waits.
    """
    limit = getattr(await standing(transaction, org_id), kind)
    if limit is None:
        return
    await transaction.execute(_LOCK, {"org_id": org_id, "kind": kind})
    # read again: the limit may have been changed meanwhile
    now = await standing(transaction, org_id)
    limit = getattr(now, kind)
    if limit is None:
        return
    count = (await transaction.execute(_COUNT[kind], {"org_id": org_id, "limit": limit, "but": but})).scalar_one()
    if count >= limit:
        of_tier = "" if now.tier is None else f" on {now.tier} tier"
        raise Problem(
            403,
            f"{_ONE[kind]} limit reached ({count}/{limit}{of_tier})."
            f" Delete {kind} that are no longer needed, or ask the operator for a larger tier.",
            type="resource_limit_exceeded",
            title="Resource Limit Exceeded",
        )


async def require_room_for(transaction: AsyncConnection | AsyncSession, org_id: UUID, secret_id: UUID) -> None:
    """Raise 403 when this secret would be one too many; a further version of one that lives never is.

    Call it with the secret's row held and before the version is written.
    """
    if (await standing(transaction, org_id)).secrets is None:
        return
    if (await transaction.execute(_IS_NEW, {"secret_id": secret_id})).scalar_one():
        await require_room(transaction, org_id, "secrets", but=secret_id)


async def has_cmek(transaction: AsyncConnection | AsyncSession, org_id: UUID) -> bool:
    """Whether the organisation may use keys of its own (CMEK)."""
    return (await standing(transaction, org_id)).has_cmek
