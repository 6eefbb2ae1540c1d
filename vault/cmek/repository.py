"""Rows of the rotations of customers' keys. Whoever works on one names itself as `holder`; only that one moves it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import Table, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.cmek.models import CmekRotation

Row = Mapping[Any, Any]

# a holder renews its heartbeat with every part, which takes a second at most
SILENT_AFTER: Final = timedelta(seconds=15)

_TABLE = cast(Table, CmekRotation.__table__)


async def interrupt_silent(transaction: AsyncConnection, vault_id: UUID) -> None:
    """Note that a job is interrupted when nothing was heard of its holder for too long."""
    await transaction.execute(
        update(_TABLE)
        .where(
            _TABLE.c.vault_id == vault_id,
            _TABLE.c.status == "running",
            ~_TABLE.c.heartbeat_at.between(func.clock_timestamp() - SILENT_AFTER, func.clock_timestamp()),
        )
        .values(status="interrupted")
    )


async def unfinished(transaction: AsyncConnection, vault_id: UUID) -> Row | None:
    """The vault's job that is running or interrupted, kept as it is until the transaction ends."""
    query = select(_TABLE).where(_TABLE.c.vault_id == vault_id, _TABLE.c.status.in_(("running", "interrupted")))
    return (await transaction.execute(query.with_for_update())).mappings().one_or_none()


async def last_completed(transaction: AsyncConnection, vault_id: UUID, old: str, new: str) -> Row | None:
    """The newest job that went from one of these keys to the other."""
    query = select(_TABLE).where(
        _TABLE.c.vault_id == vault_id,
        _TABLE.c.status == "completed",
        _TABLE.c.old_fingerprint == old,
        _TABLE.c.new_fingerprint == new,
    )
    found = await transaction.execute(query.order_by(_TABLE.c.created_at.desc()).limit(1))
    return found.mappings().one_or_none()


async def get(transaction: AsyncConnection, vault_id: UUID, job_id: UUID) -> Row | None:
    """One of this vault's jobs."""
    query = select(_TABLE).where(_TABLE.c.id == job_id, _TABLE.c.vault_id == vault_id)
    return (await transaction.execute(query)).mappings().one_or_none()


async def add(transaction: AsyncConnection, values: Mapping[str, Any]) -> Row:
    """Insert a job."""
    found = await transaction.execute(insert(_TABLE).values(**values).returning(*_TABLE.c))
    return found.mappings().one()


async def take_up(transaction: AsyncConnection, row: Row, holder: UUID, left: int) -> Row:
    """Give an interrupted job to another holder, with this many values left to do."""
    found = await transaction.execute(
        update(_TABLE)
        .where(_TABLE.c.id == row["id"])
        .values(
            status="running",
            holder=holder,
            heartbeat_at=func.clock_timestamp(),
            total_secrets=row["processed"] + left,
            failed=0,
            error=None,
        )
        .returning(*_TABLE.c)
    )
    return found.mappings().one()


async def hold(transaction: AsyncConnection, job_id: UUID, holder: UUID) -> bool:
    """Keep a job to oneself until the transaction ends; False when it is not this holder's any more."""
    query = select(_TABLE.c.id).where(_TABLE.c.id == job_id, _TABLE.c.holder == holder, _TABLE.c.status == "running")
    return (await transaction.execute(query.with_for_update())).one_or_none() is not None


async def advance(transaction: AsyncConnection, job_id: UUID, *, processed: int, failed: int) -> None:
    """Count further values, name how many failed so far, and give a sign of life; only while it is held."""
    await transaction.execute(
        update(_TABLE)
        .where(_TABLE.c.id == job_id)
        .values(
            processed=_TABLE.c.processed + processed,
            failed=failed,
            # what was written meanwhile comes on top
            total_secrets=func.greatest(_TABLE.c.total_secrets, _TABLE.c.processed + processed + failed),
            heartbeat_at=func.clock_timestamp(),
        )
    )


async def finish(transaction: AsyncConnection, job_id: UUID, status: str, error: str | None) -> Row:
    """End a job as `completed` or `failed`; only while it is held."""
    found = await transaction.execute(
        update(_TABLE)
        .where(_TABLE.c.id == job_id)
        .values(status=status, error=error, completed_at=func.clock_timestamp())
        .returning(*_TABLE.c)
    )
    return found.mappings().one()


async def interrupt(transaction: AsyncConnection, job_id: UUID, holder: UUID) -> None:
    """Give a job up, if it still is this holder's."""
    await transaction.execute(
        update(_TABLE)
        .where(_TABLE.c.id == job_id, _TABLE.c.holder == holder, _TABLE.c.status == "running")
        .values(status="interrupted")
    )
