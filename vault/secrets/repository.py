"""Rows of secrets and their versions. Every statement is indexed on (vault_id, path) or (secret_id, version)."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import Table, and_, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.secrets.models import Secret, SecretVersion

Row = Mapping[Any, Any]

_SECRETS = cast(Table, Secret.__table__)
_VERSIONS = cast(Table, SecretVersion.__table__)

_ENABLED = and_(
    _VERSIONS.c.secret_id == _SECRETS.c.id, _VERSIONS.c.disabled_at.is_(None), _VERSIONS.c.deleted_at.is_(None)
)
_NEWEST = (
    select(*(column for column in _VERSIONS.c if column.name != "secret_id"))
    .where(_ENABLED)
    .order_by(_VERSIONS.c.version.desc())
    .limit(1)
    .lateral("newest")
)
_CURRENT = (
    select(
        _SECRETS.c.id.label("secret_id"),
        _SECRETS.c.path,
        _SECRETS.c.deleted_at.label("secret_deleted_at"),
        *(column for column in _NEWEST.c if column.name != "deleted_at"),
        and_(_NEWEST.c.expires_at.is_not(None), _NEWEST.c.expires_at <= func.clock_timestamp()).label("is_expired"),
    )
    .select_from(_SECRETS)
    .outerjoin(_NEWEST, text("true"))
)


async def current(transaction: AsyncConnection, vault_id: UUID, path: str) -> Row | None:
    """The secret at a path with its newest enabled version (whose columns are null when there is none)."""
    query = _CURRENT.where(_SECRETS.c.vault_id == vault_id, _SECRETS.c.path == path)
    return (await transaction.execute(query)).mappings().one_or_none()


async def paths(
    transaction: AsyncConnection, vault_id: UUID, *, prefix: str, after: str, limit: int
) -> Sequence[str]:
    """Live paths that begin with `prefix`, in byte order, behind `after`."""
    query = select(_SECRETS.c.path).where(
        _SECRETS.c.vault_id == vault_id,
        _SECRETS.c.deleted_at.is_(None),
        _SECRETS.c.path > after,
        # in byte order exactly the paths that begin with the prefix, since no path holds a `~`
        _SECRETS.c.path >= prefix,
        _SECRETS.c.path < prefix + "~",
    )
    found = await transaction.execute(query.order_by(_SECRETS.c.path).limit(limit))
    return found.scalars().all()


async def current_of(transaction: AsyncConnection, vault_id: UUID, chosen: Sequence[str]) -> Sequence[Row]:
    """The same as `current` for several live paths, by path; those without an enabled version are left out."""
    query = _CURRENT.where(
        _SECRETS.c.vault_id == vault_id,
        _SECRETS.c.path.in_(chosen),
        _SECRETS.c.deleted_at.is_(None),
        _NEWEST.c.version.is_not(None),
    )
    return (await transaction.execute(query.order_by(_SECRETS.c.path))).mappings().all()


async def next_version(transaction: AsyncConnection, vault_id: UUID, path: str) -> tuple[UUID, int]:
    """Secret id and the version number to write; locks the path until the transaction ends, revives a deleted one."""
    statement = upsert(_SECRETS).values(id=uuid4(), vault_id=vault_id, path=path, latest_version=1)
    statement = statement.on_conflict_do_update(
        index_elements=[_SECRETS.c.vault_id, _SECRETS.c.path],
        set_={"latest_version": _SECRETS.c.latest_version + 1, "deleted_at": None},
    )
    found = await transaction.execute(statement.returning(_SECRETS.c.id, _SECRETS.c.latest_version))
    secret_id, version = found.one()
    return secret_id, version


async def newest_type(transaction: AsyncConnection, secret_id: UUID) -> str | None:
    """The type of the newest version, whatever became of it: a key's path stays a key's path when revived."""
    query = select(_VERSIONS.c.type).where(_VERSIONS.c.secret_id == secret_id)
    found = await transaction.execute(query.order_by(_VERSIONS.c.version.desc()).limit(1))
    return found.scalar_one_or_none()


async def add_version(transaction: AsyncConnection, values: Mapping[str, Any]) -> Row:
    """Insert a version."""
    found = await transaction.execute(insert(_VERSIONS).values(**values).returning(*_VERSIONS.c))
    return found.mappings().one()


async def charge_read(transaction: AsyncConnection, secret_id: UUID, version: int) -> bool:
    """Count one read of a limited version; False when its reads are used up or it was closed meanwhile.

    The row lock makes concurrent readers queue, and each sees the count the one before it left.
    """
    found = await transaction.execute(
        update(_VERSIONS)
        .where(
            _VERSIONS.c.secret_id == secret_id,
            _VERSIONS.c.version == version,
            _VERSIONS.c.disabled_at.is_(None),
            _VERSIONS.c.deleted_at.is_(None),
            or_(_VERSIONS.c.max_access_count.is_(None), _VERSIONS.c.access_count < _VERSIONS.c.max_access_count),
        )
        .values(access_count=_VERSIONS.c.access_count + 1)
    )
    return found.rowcount == 1


async def remove(transaction: AsyncConnection, vault_id: UUID, path: str) -> UUID | None:
    """Mark the secret at a path and all its versions as deleted; None when no live one is there."""
    found = await transaction.execute(
        update(_SECRETS)
        .where(_SECRETS.c.vault_id == vault_id, _SECRETS.c.path == path, _SECRETS.c.deleted_at.is_(None))
        .values(deleted_at=func.clock_timestamp())
        .returning(_SECRETS.c.id)
    )
    secret_id: UUID | None = found.scalar_one_or_none()
    if secret_id is not None:
        await transaction.execute(
            update(_VERSIONS)
            .where(_VERSIONS.c.secret_id == secret_id, _VERSIONS.c.deleted_at.is_(None))
            .values(deleted_at=func.clock_timestamp())
        )
    return secret_id
