"""Rows of policies."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import Table, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.policies.models import Policy
from vault.schemas import Page

Row = Mapping[Any, Any]

EVERYTHING = "**"

_TABLE = cast(Table, Policy.__table__)

_PRINCIPALS = {
    "user": text("SELECT 1 FROM memberships WHERE user_id = :id AND org_id = :org_id"),
    "agent": text("SELECT 1 FROM agents WHERE id = :id AND org_id = :org_id AND deleted_at IS NULL"),
}
_MAKER = text("""
    SELECT m.user_id FROM agents a JOIN memberships m ON m.user_id = a.created_by AND m.org_id = a.org_id
    WHERE a.id = :id
""")


async def principal_exists(transaction: AsyncConnection, org_id: UUID, kind: str, principal_id: UUID) -> bool:
    """Whether the user or agent belongs to the organisation."""
    found = await transaction.execute(_PRINCIPALS[kind], {"id": principal_id, "org_id": org_id})
    return found.scalar() is not None


async def create(transaction: AsyncConnection, values: Mapping[str, Any]) -> Row:
    """Insert a policy."""
    found = await transaction.execute(insert(_TABLE).values(**values).returning(*_TABLE.c))
    return found.mappings().one()


async def person_behind(transaction: AsyncConnection, caller: Caller) -> UUID | None:
    """Whose vaults the caller's are: the person's own, or those of who made the agent; None when they have left."""
    if not caller.is_agent:
        return caller.id
    return (await transaction.execute(_MAKER, {"id": caller.id})).scalar_one_or_none()


async def share_new_vault(transaction: AsyncConnection, caller: Caller, vault_id: UUID) -> None:
    """Give the person behind a new vault read and write on everything in it, with the audit row of any policy.

    An agent's vault is thereby seen by the human who made the agent; the agent itself needs no policy there.
    """
    person_id = await person_behind(transaction, caller)
    if person_id is None:
        return
    row = await create(
        transaction,
        {
            "id": uuid4(),
            "vault_id": vault_id,
            "secret_path_pattern": EVERYTHING,
            "principal_type": "user",
            "principal_id": person_id,
            "permissions": ["read", "write"],
            "created_by": caller.id,
            "created_by_type": caller.kind,
        },
    )
    await write_change(transaction, caller, "policy.create", row)


async def listed(transaction: AsyncConnection, vault_id: UUID, *, only: Caller | None, page: Page) -> Sequence[Row]:
    """A vault's policies, oldest first; with `only` just those that speak of this caller."""
    query = select(_TABLE).where(_TABLE.c.vault_id == vault_id)
    if only is not None:
        query = query.where(_TABLE.c.principal_id == only.id, _TABLE.c.principal_type == only.kind)
    found = await transaction.execute(
        query.order_by(_TABLE.c.created_at, _TABLE.c.id).limit(page.limit).offset(page.offset)
    )
    return found.mappings().all()


async def change(
    transaction: AsyncConnection, vault_id: UUID, policy_id: UUID, values: Mapping[str, Any]
) -> Row | None:
    """Change a policy of this vault; None when it has none with this id. Without values the row is only read."""
    mine = (_TABLE.c.id == policy_id, _TABLE.c.vault_id == vault_id)
    if not values:
        found = await transaction.execute(select(_TABLE).where(*mine))
    else:
        found = await transaction.execute(update(_TABLE).where(*mine).values(**values).returning(*_TABLE.c))
    return found.mappings().one_or_none()


async def remove(transaction: AsyncConnection, vault_id: UUID, policy_id: UUID) -> Row | None:
    """Delete a policy of this vault and return what it said; None when it has none with this id."""
    found = await transaction.execute(
        delete(_TABLE).where(_TABLE.c.id == policy_id, _TABLE.c.vault_id == vault_id).returning(*_TABLE.c)
    )
    return found.mappings().one_or_none()


async def write_change(transaction: AsyncConnection, caller: Caller, action: str, row: Row) -> None:
    """Audit what a policy says now (or said last): later it may have changed or be gone."""
    await write_for(
        transaction,
        caller,
        action,
        "policy",
        row["id"],
        vault_id=str(row["vault_id"]),
        secret_path_pattern=row["secret_path_pattern"],
        principal_type=row["principal_type"],
        principal_id=str(row["principal_id"]),
        permissions=list(row["permissions"]),
        conditions=row["conditions"],
        expires_at=None if row["expires_at"] is None else row["expires_at"].isoformat(),
    )
