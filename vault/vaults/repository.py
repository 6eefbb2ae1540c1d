"""Rows of vaults."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ARRAY, Table, bindparam, func, insert, select, text, update
from sqlalchemy import UUID as SqlUUID
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.caller import Caller
from vault.schemas import Page
from vault.vaults.models import Vault

Row = Mapping[Any, Any]

_TABLE = cast(Table, Vault.__table__)

# An agent sees what it made and what a policy speaks of; the two index walks start at the agent, not at the
# organisation.
_OF_AGENT = text(
    """
    SELECT v.id, v.name, v.description, v.created_by, v.created_by_type, v.created_at,
           v.cmek_fingerprint
    FROM (
        SELECT vault_id AS id FROM policies
        WHERE principal_id = :agent_id AND principal_type = 'agent'
          AND (expires_at IS NULL OR expires_at > clock_timestamp())
        UNION
        SELECT id FROM vaults WHERE created_by = :agent_id AND created_by_type = 'agent'
    ) seen
    JOIN vaults v ON v.id = seen.id AND v.org_id = :org_id AND v.deleted_at IS NULL
    WHERE cardinality(:bound) = 0 OR v.id = ANY(:bound)
    ORDER BY v.created_at, v.id
    LIMIT :limit OFFSET :offset
    """
).bindparams(bindparam("bound", type_=ARRAY(SqlUUID(as_uuid=True))))


async def create(transaction: AsyncConnection, values: Mapping[str, Any]) -> Row:
    """Insert a vault; IntegrityError on `uq_vaults_org_id_name` when a live one has the name."""
    found = await transaction.execute(insert(_TABLE).values(**values).returning(*_TABLE.c))
    return found.mappings().one()


async def get(transaction: AsyncConnection, vault_id: UUID) -> Row | None:
    """A live vault."""
    query = select(_TABLE).where(_TABLE.c.id == vault_id, _TABLE.c.deleted_at.is_(None))
    return (await transaction.execute(query)).mappings().one_or_none()


async def lock(transaction: AsyncConnection, vault_id: UUID) -> Row | None:
    """A live vault, kept from changes and from new secrets until the transaction ends."""
    query = select(_TABLE).where(_TABLE.c.id == vault_id, _TABLE.c.deleted_at.is_(None))
    return (await transaction.execute(query.with_for_update(key_share=True))).mappings().one_or_none()


async def lock_any(transaction: AsyncConnection, vault_id: UUID) -> Row:
    """A vault that is known to exist, live or deleted, kept from changes until the transaction ends."""
    query = select(_TABLE).where(_TABLE.c.id == vault_id)
    return (await transaction.execute(query.with_for_update(key_share=True))).mappings().one()


async def set_fingerprint(transaction: AsyncConnection, vault_id: UUID, fingerprint: str | None) -> Row:
    """Name the key that clients encrypt with from now on (None: they do not)."""
    statement = update(_TABLE).where(_TABLE.c.id == vault_id).values(cmek_fingerprint=fingerprint)
    return (await transaction.execute(statement.returning(*_TABLE.c))).mappings().one()


async def page_of_org(transaction: AsyncConnection, org_id: UUID, page: Page) -> Sequence[Row]:
    """The organisation's live vaults, oldest first."""
    query = (
        select(_TABLE)
        .where(_TABLE.c.org_id == org_id, _TABLE.c.deleted_at.is_(None))
        .order_by(_TABLE.c.created_at, _TABLE.c.id)
        .limit(page.limit)
        .offset(page.offset)
    )
    return (await transaction.execute(query)).mappings().all()


async def page_of_agent(transaction: AsyncConnection, caller: Caller, page: Page) -> Sequence[Row]:
    """The live vaults that an agent made or has an unexpired policy on, narrowed by its binding."""
    found = await transaction.execute(
        _OF_AGENT,
        {
            "agent_id": caller.id,
            "org_id": caller.org_id,
            "bound": list(caller.vault_ids),
            "limit": page.limit,
            "offset": page.offset,
        },
    )
    return found.mappings().all()


async def is_system(transaction: AsyncConnection, vault_id: UUID) -> bool:
    """Whether this is the organisation's vault of agents' identity keys."""
    found = await transaction.execute(select(_TABLE.c.is_system).where(_TABLE.c.id == vault_id))
    return found.scalar_one_or_none() is True


async def remove(transaction: AsyncConnection, vault_id: UUID, by: UUID) -> None:
    """Mark a locked, live vault as deleted."""
    values = {"deleted_at": func.clock_timestamp(), "deleted_by": by}
    await transaction.execute(update(_TABLE).where(_TABLE.c.id == vault_id).values(**values))


async def restore(transaction: AsyncConnection, vault_id: UUID, name: str | None) -> Row:
    """Bring a locked, deleted vault back (None: under its name); IntegrityError on `uq_vaults_org_id_name`."""
    values = {"deleted_at": None, "deleted_by": None} | ({} if name is None else {"name": name})
    found = await transaction.execute(
        update(_TABLE).where(_TABLE.c.id == vault_id).values(**values).returning(*_TABLE.c)
    )
    return found.mappings().one()
