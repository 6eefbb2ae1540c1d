"""Rows of key rotations."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.kek.models import KekRotation
from vault.schemas import Page
from vault.vaults.sealed import Place

Row = Mapping[Any, Any]

_TABLE = cast(Table, KekRotation.__table__)


async def lock(transaction: AsyncConnection, vault_id: UUID) -> None:
    """Let nobody else begin a rotation of this vault's key until the transaction ends."""
    await transaction.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('kek_rotations:' || CAST(:vault_id AS text), 0))"),
        {"vault_id": vault_id},
    )


async def running(transaction: AsyncConnection, vault_id: UUID) -> Row | None:
    """The vault's rotation that is not completed yet."""
    query = select(_TABLE).where(_TABLE.c.vault_id == vault_id, _TABLE.c.status == "running")
    return (await transaction.execute(query)).mappings().one_or_none()


async def next_version(transaction: AsyncConnection, vault_id: UUID) -> int:
    """The version of the key that comes after the last rotation's; a vault begins with version 1."""
    query = select(func.coalesce(func.max(_TABLE.c.key_version), 1) + 1).where(_TABLE.c.vault_id == vault_id)
    return int((await transaction.execute(query)).scalar_one())


async def add(transaction: AsyncConnection, values: Mapping[str, Any]) -> Row:
    """Insert a rotation."""
    found = await transaction.execute(insert(_TABLE).values(**values).returning(*_TABLE.c))
    return found.mappings().one()


async def get(transaction: AsyncConnection, vault_id: UUID, rotation_id: UUID) -> Row | None:
    """One of this vault's rotations."""
    query = select(_TABLE).where(_TABLE.c.id == rotation_id, _TABLE.c.vault_id == vault_id)
    return (await transaction.execute(query)).mappings().one_or_none()


async def page(transaction: AsyncConnection, vault_id: UUID, asked: Page) -> Sequence[Row]:
    """The vault's rotations, newest first."""
    query = (
        select(_TABLE)
        .where(_TABLE.c.vault_id == vault_id)
        .order_by(_TABLE.c.created_at.desc(), _TABLE.c.id)
        .limit(asked.limit)
        .offset(asked.offset)
    )
    return (await transaction.execute(query)).mappings().all()


async def all_running(transaction: AsyncConnection, limit: int, but: Collection[UUID]) -> Sequence[Row]:
    """What there is to do except for these, in no order: however many are stuck or slow, all have their turn."""
    query = select(_TABLE).where(_TABLE.c.status == "running", _TABLE.c.id.not_in(but))
    query = query.order_by(func.random()).limit(limit)
    return (await transaction.execute(query)).mappings().all()


async def hold(transaction: AsyncConnection, row: Row) -> bool:
    """Keep a rotation to oneself until the transaction ends; False when somebody else has moved it on since `row`."""
    query = select(_TABLE.c.id).where(
        _TABLE.c.id == row["id"],
        _TABLE.c.status == "running",
        _TABLE.c.cursor == row["cursor"],
        _TABLE.c.cursor_version == row["cursor_version"],
        _TABLE.c.processed == row["processed"],
    )
    return (await transaction.execute(query.with_for_update())).one_or_none() is not None


async def advance(transaction: AsyncConnection, row: Row, *, after: Place, processed: int, failed: int) -> None:
    """Move a rotation on from where `row` stands; only while it is held."""
    processed, failed = row["processed"] + processed, row["failed"] + failed
    await _change(
        transaction,
        row,
        cursor=after.path,
        cursor_version=after.version,
        processed=processed,
        failed=failed,
        # what was written meanwhile comes on top
        total=func.greatest(_TABLE.c.total, processed + failed),
    )


async def begin_again(transaction: AsyncConnection, row: Row) -> None:
    """Go through the vault once more, for what was in use or came later; what failed is counted afresh."""
    await _change(transaction, row, cursor="", cursor_version=0, failed=0)


async def complete(transaction: AsyncConnection, row: Row, error: str | None) -> None:
    """Mark a rotation as completed; only while it is held."""
    total = row["processed"] + row["failed"]
    await _change(transaction, row, status="completed", error=error, total=total, completed_at=func.clock_timestamp())


async def _change(transaction: AsyncConnection, row: Row, **values: Any) -> None:
    await transaction.execute(update(_TABLE).where(_TABLE.c.id == row["id"]).values(**values))
