"""Rows of the chain registry. Every statement reads the table itself: a disabled chain must count at once."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from vault.networks.models import ChainRow
from vault.schemas import Page

Transaction = AsyncConnection | AsyncSession
Row = Mapping[Any, Any]

_TABLE = cast(Table, ChainRow.__table__)


async def listed(transaction: Transaction, *, enabled_only: bool, page: Page) -> Sequence[Row]:
    """Live chains by chain id, one page."""
    query = select(_TABLE).where(_TABLE.c.deleted_at.is_(None))
    if enabled_only:
        query = query.where(_TABLE.c.is_enabled)
    found = await transaction.execute(query.order_by(_TABLE.c.chain_id).limit(page.limit).offset(page.offset))
    return found.mappings().all()


async def mainnets(transaction: Transaction, most: int) -> Sequence[Row]:
    """Enabled chains whose coin is worth something (no testnets), by chain id."""
    query = select(_TABLE).where(_TABLE.c.deleted_at.is_(None), _TABLE.c.is_enabled, ~_TABLE.c.is_testnet)
    return (await transaction.execute(query.order_by(_TABLE.c.chain_id).limit(most))).mappings().all()


async def enabled(transaction: Transaction, most: int) -> Sequence[Row]:
    """Enabled chains, by chain id."""
    query = select(_TABLE).where(_TABLE.c.deleted_at.is_(None), _TABLE.c.is_enabled)
    return (await transaction.execute(query.order_by(_TABLE.c.chain_id).limit(most))).mappings().all()


async def by_names_or_ids(transaction: Transaction, names: Sequence[str], chain_ids: Sequence[int]) -> Sequence[Row]:
    """Live chains, enabled or not, that have one of these names (lower case) or numeric ids."""
    wanted = or_(_TABLE.c.name.in_(names), _TABLE.c.chain_id.in_(chain_ids))
    found = await transaction.execute(select(_TABLE).where(_TABLE.c.deleted_at.is_(None), wanted))
    return found.mappings().all()


async def newest_by_chain_id(transaction: Transaction, chain_id: int) -> Row | None:
    """The chain of this numeric id in whatever state: live before removed, then the latest removed."""
    query = (
        select(_TABLE)
        .where(_TABLE.c.chain_id == chain_id)
        .order_by(_TABLE.c.deleted_at.desc().nulls_first())
        .limit(1)
    )
    return (await transaction.execute(query)).mappings().one_or_none()


async def newest_of_each(transaction: Transaction) -> Sequence[Row]:
    """One row per numeric id ever registered, chosen as `newest_by_chain_id` does."""
    query = (
        select(_TABLE)
        .ext(distinct_on(_TABLE.c.chain_id))
        .order_by(_TABLE.c.chain_id, _TABLE.c.deleted_at.desc().nulls_first())
    )
    return (await transaction.execute(query)).mappings().all()


async def known_chain_ids(transaction: Transaction) -> frozenset[int]:
    """Every numeric id that was ever registered, removed ones included."""
    return frozenset((await transaction.execute(select(_TABLE.c.chain_id).distinct())).scalars())


async def create(transaction: Transaction, values: Mapping[str, Any]) -> Row:
    """Insert a chain; IntegrityError on `uq_chains_name` or `uq_chains_chain_id`."""
    found = await transaction.execute(insert(_TABLE).values(**values).returning(*_TABLE.c))
    return found.mappings().one()


async def change(transaction: Transaction, row_id: UUID, values: Mapping[str, Any]) -> Row | None:
    """Change a live chain; None when there is none with this id."""
    found = await transaction.execute(
        update(_TABLE)
        .where(_TABLE.c.id == row_id, _TABLE.c.deleted_at.is_(None))
        .values(**values, updated_at=func.clock_timestamp())
        .returning(*_TABLE.c)
    )
    return found.mappings().one_or_none()


async def load(transaction: Transaction, row_id: UUID) -> Row | None:
    """A live chain by its row's id."""
    query = select(_TABLE).where(_TABLE.c.id == row_id, _TABLE.c.deleted_at.is_(None))
    return (await transaction.execute(query)).mappings().one_or_none()


async def set_genesis(transaction: Transaction, chain_id: int, was: bytes | None, now: bytes) -> bool:
    """Write down with which block the chain of this id began; False when somebody else did."""
    changed = await transaction.execute(
        update(_TABLE)
        .where(_TABLE.c.chain_id == chain_id, _TABLE.c.genesis_hash.is_not_distinct_from(was))
        .values(genesis_hash=now)
        .returning(_TABLE.c.id)
    )
    return changed.first() is not None


async def without_genesis(transaction: Transaction, chain_ids: Sequence[int]) -> Sequence[Row]:
    """Those of these chains, live and enabled, of which the first block is not known yet."""
    query = select(_TABLE).where(
        _TABLE.c.deleted_at.is_(None),
        _TABLE.c.is_enabled,
        _TABLE.c.genesis_hash.is_(None),
        _TABLE.c.chain_id.in_(chain_ids),
    )
    return (await transaction.execute(query)).mappings().all()


async def remove(transaction: Transaction, row_id: UUID) -> Row | None:
    """Mark a live chain as removed and return it; None when there is none with this id."""
    return await change(transaction, row_id, {"deleted_at": func.clock_timestamp()})
