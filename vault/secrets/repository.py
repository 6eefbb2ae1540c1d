"""Rows of secrets and their versions. Every statement is indexed on (vault_id, path) or (secret_id, version)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, FromClause, Table, and_, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.schemas import Page
from vault.secrets.models import Secret, SecretVersion
from vault.secrets.ranges import Range
from vault.vaults.models import Vault

Row = Mapping[Any, Any]

_SECRETS = cast(Table, Secret.__table__)
_VERSIONS = cast(Table, SecretVersion.__table__)
_VAULTS = cast(Table, Vault.__table__)

_ENABLED = and_(
    _VERSIONS.c.secret_id == _SECRETS.c.id, _VERSIONS.c.disabled_at.is_(None), _VERSIONS.c.deleted_at.is_(None)
)
_NEWEST = (
    select(*(column for column in _VERSIONS.c if column.name != "secret_id"))
    .where(_ENABLED)
    # served by an index of just this order
    .order_by(text("(key_id IS NULL OR unconfirmed)"), _VERSIONS.c.version.desc())
    .limit(1)
    .lateral("newest")
)


def _with_secret(version: FromClause) -> list[ColumnElement[Any]]:
    """What a reader needs of a version and its secret."""
    return [
        _SECRETS.c.id.label("secret_id"),
        _SECRETS.c.path,
        _SECRETS.c.deleted_at.label("secret_deleted_at"),
        *(column for column in version.c if column.name != "secret_id"),
        and_(version.c.expires_at.is_not(None), version.c.expires_at <= func.clock_timestamp()).label("is_expired"),
    ]


_CURRENT = select(*_with_secret(_NEWEST)).select_from(_SECRETS).outerjoin(_NEWEST, text("true"))

# Disjoint stretches of the path order, one index walk each, and no further than the page; a path without an enabled
# version is not listed. LATERAL, and no more to plan: the walk must never become a scan and a sort.
_LISTED = text(
    """
    SELECT found.id AS secret_id, found.path, CASE WHEN :in_full THEN found.newest END AS newest
    FROM unnest(CAST(:lows AS text[]), CAST(:highs AS text[])) WITH ORDINALITY AS wanted(low, high, place)
    CROSS JOIN LATERAL (
        SELECT s.id, s.path, s.newest
        FROM secrets s
        WHERE s.vault_id = :vault_id AND s.deleted_at IS NULL AND s.newest IS NOT NULL
          AND s.path >= wanted.low COLLATE "C" AND s.path < wanted.high COLLATE "C" AND s.path > :after
        ORDER BY s.path
        LIMIT :most
    ) found
    ORDER BY wanted.place, found.path
    LIMIT :limit OFFSET :offset
    """
)
_NOTE_NEWEST = text(
    """
    UPDATE secrets SET newest = (
        SELECT jsonb_build_object('type', type, 'version', version, 'metadata', metadata, 'created_at', created_at,
               'expires_at', expires_at, 'address', encode(address, 'hex'), 'cmek', cmek_fingerprint IS NOT NULL,
               'unconfirmed', unconfirmed)
        FROM secret_versions v
        WHERE v.secret_id = secrets.id AND v.disabled_at IS NULL AND v.deleted_at IS NULL
        ORDER BY (v.key_id IS NULL OR v.unconfirmed), v.version DESC LIMIT 1
    )
    WHERE id = :secret_id
    """
)

_KEY_ADDRESSES = (
    select(_VERSIONS.c.address)
    .join(_SECRETS, _SECRETS.c.id == _VERSIONS.c.secret_id)
    .where(_VERSIONS.c.key_id.is_not(None), _VERSIONS.c.address.is_not(None), _VERSIONS.c.deleted_at.is_(None))
    # what an agent brought is nobody's wallet
    .where(~_VERSIONS.c.unconfirmed)
    .group_by(_VERSIONS.c.address)
    .order_by(func.max(_VERSIONS.c.created_at).desc())
)


async def current(transaction: AsyncConnection, vault_id: UUID, path: str) -> Row | None:
    """The secret at a path with its current version (whose columns are null when no version is enabled).

    That is the newest enabled signing key that is a wallet, else the newest enabled version.
    """
    query = _CURRENT.where(_SECRETS.c.vault_id == vault_id, _SECRETS.c.path == path)
    return (await transaction.execute(query)).mappings().one_or_none()


async def version_of(transaction: AsyncConnection, vault_id: UUID, path: str, version: int) -> Row | None:
    """The secret at a path with one version of it, in whatever state (its columns are null when unknown)."""
    query = (
        select(*_with_secret(_VERSIONS))
        .select_from(_SECRETS)
        .outerjoin(_VERSIONS, and_(_VERSIONS.c.secret_id == _SECRETS.c.id, _VERSIONS.c.version == version))
        .where(_SECRETS.c.vault_id == vault_id, _SECRETS.c.path == path)
    )
    return (await transaction.execute(query)).mappings().one_or_none()


async def key_addresses(transaction: AsyncConnection, vault_id: UUID, path: str | None = None) -> Sequence[bytes]:
    """Addresses of the signing keys at a path, or (None) anywhere in a vault, the latest first.

    Disabled, expired and displaced keys lie there too; deleted ones do not.
    """
    query = _KEY_ADDRESSES.where(_SECRETS.c.vault_id == vault_id)
    if path is not None:
        query = query.where(_SECRETS.c.path == path)
    return [bytes(address) for address in (await transaction.execute(query)).scalars()]


async def key_addresses_of_org(transaction: AsyncConnection, org_id: UUID) -> Sequence[bytes]:
    """The same of all live vaults of an organisation."""
    vaults = select(_VAULTS.c.id).where(_VAULTS.c.org_id == org_id, _VAULTS.c.deleted_at.is_(None))
    found = await transaction.execute(_KEY_ADDRESSES.where(_SECRETS.c.vault_id.in_(vaults)))
    return [bytes(address) for address in found.scalars()]


async def lookup(transaction: AsyncConnection, vault_id: UUID, path: str) -> Row | None:
    """The row of a path, deleted or not."""
    query = select(_SECRETS).where(_SECRETS.c.vault_id == vault_id, _SECRETS.c.path == path)
    return (await transaction.execute(query)).mappings().one_or_none()


async def lock(transaction: AsyncConnection, vault_id: UUID, path: str) -> Row | None:
    """The same, and nobody else writes at the path until the transaction ends."""
    query = select(_SECRETS).where(_SECRETS.c.vault_id == vault_id, _SECRETS.c.path == path).with_for_update()
    return (await transaction.execute(query)).mappings().one_or_none()


async def listed(
    transaction: AsyncConnection,
    vault_id: UUID,
    within: Sequence[Range],
    *,
    after: str = "",
    limit: int,
    offset: int = 0,
    in_full: bool = True,
) -> Sequence[Row]:
    """Live secrets with an enabled version in disjoint, ordered ranges, in byte order of paths, behind `after`.

    Without `in_full` only to look at their paths: metadata may be large.
    """
    if not within:
        return []
    found = await transaction.execute(
        _LISTED,
        {
            "lows": [each.low for each in within],
            "highs": [each.high for each in within],
            "vault_id": vault_id,
            "after": after,
            "most": limit + offset,
            "limit": limit,
            "offset": offset,
            "in_full": in_full,
        },
    )
    return found.mappings().all()


async def listed_at(transaction: AsyncConnection, vault_id: UUID, chosen: Sequence[str]) -> Sequence[Row]:
    """The same rows in full at several paths."""
    query = select(_SECRETS.c.id.label("secret_id"), _SECRETS.c.path, _SECRETS.c.newest).where(
        _SECRETS.c.vault_id == vault_id,
        _SECRETS.c.path.in_(chosen),
        _SECRETS.c.deleted_at.is_(None),
        _SECRETS.c.newest.is_not(None),
    )
    return (await transaction.execute(query.order_by(_SECRETS.c.path))).mappings().all()


async def note_newest(transaction: AsyncConnection, secret_id: UUID) -> None:
    """Repeat on the secret's row what lists show of it; the caller holds that row, or two changes could miss."""
    await transaction.execute(_NOTE_NEWEST, {"secret_id": secret_id})


async def versions(transaction: AsyncConnection, secret_id: UUID, page: Page) -> Sequence[Row]:
    """A page of a secret's versions, newest first, without what was deleted before a revival."""
    query = select(_VERSIONS).where(_VERSIONS.c.secret_id == secret_id, _VERSIONS.c.deleted_at.is_(None))
    query = query.order_by(_VERSIONS.c.version.desc()).limit(page.limit).offset(page.offset)
    return (await transaction.execute(query)).mappings().all()


async def newest(transaction: AsyncConnection, secret_id: UUID) -> Row | None:
    """The newest version that was not deleted, disabled and expired ones included."""
    found = await versions(transaction, secret_id, Page(1, 0))
    return found[0] if found else None


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
    await note_newest(transaction, values["secret_id"])
    return found.mappings().one()


async def confirm_key(transaction: AsyncConnection, secret_id: UUID, version: int) -> None:
    """Make a wallet of a key that an agent brought; the caller holds the secret's row."""
    mine = (_VERSIONS.c.secret_id == secret_id, _VERSIONS.c.version == version)
    await transaction.execute(update(_VERSIONS).where(*mine).values(unconfirmed=False))
    await note_newest(transaction, secret_id)


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
            or_(_VERSIONS.c.expires_at.is_(None), _VERSIONS.c.expires_at > func.clock_timestamp()),
            or_(_VERSIONS.c.max_access_count.is_(None), _VERSIONS.c.access_count < _VERSIONS.c.max_access_count),
        )
        .values(access_count=_VERSIONS.c.access_count + 1)
    )
    return found.rowcount == 1


async def disable(transaction: AsyncConnection, secret_id: UUID, version: int, by: UUID) -> bool:
    """Take a version of a locked secret out of service; False when it was already."""
    found = await transaction.execute(
        update(_VERSIONS)
        .where(
            _VERSIONS.c.secret_id == secret_id,
            _VERSIONS.c.version == version,
            _VERSIONS.c.disabled_at.is_(None),
            _VERSIONS.c.deleted_at.is_(None),
        )
        .values(disabled_at=func.clock_timestamp(), disabled_by=by)
    )
    await note_newest(transaction, secret_id)
    return found.rowcount == 1


async def enable(transaction: AsyncConnection, secret_id: UUID, version: int) -> None:
    """Put a version of a locked secret back into service."""
    mine = (_VERSIONS.c.secret_id == secret_id, _VERSIONS.c.version == version)
    await transaction.execute(update(_VERSIONS).where(*mine).values(disabled_at=None, disabled_by=None))
    await note_newest(transaction, secret_id)


async def set_expiry(
    transaction: AsyncConnection, secret_id: UUID, version: int, expires_at: datetime | None
) -> None:
    """Give a version of a locked secret another end (None: none)."""
    mine = (_VERSIONS.c.secret_id == secret_id, _VERSIONS.c.version == version)
    await transaction.execute(update(_VERSIONS).where(*mine).values(expires_at=expires_at))
    await note_newest(transaction, secret_id)


async def remove(transaction: AsyncConnection, secret_id: UUID, by: UUID) -> None:
    """Mark a locked, live secret and all its versions as deleted at one moment."""
    found = await transaction.execute(
        update(_SECRETS)
        .where(_SECRETS.c.id == secret_id)
        .values(deleted_at=func.clock_timestamp())
        .returning(_SECRETS.c.deleted_at)
    )
    moment = found.scalar_one()
    await transaction.execute(
        update(_VERSIONS)
        .where(_VERSIONS.c.secret_id == secret_id, _VERSIONS.c.deleted_at.is_(None))
        .values(deleted_at=moment, deleted_by=by)
    )
    await note_newest(transaction, secret_id)


async def last_deletion(transaction: AsyncConnection, secret: Row) -> Row | None:
    """The version to speak of when the secret's last deletion is undone: its newest signing key, else its newest.

    Of a secret that lives again that is the deletion which took its signing key; None when nothing is to be undone.
    """
    query = select(_VERSIONS).where(_VERSIONS.c.secret_id == secret["id"], _VERSIONS.c.deleted_at.is_not(None))
    if secret["deleted_at"] is not None:
        query = query.where(_VERSIONS.c.deleted_at == secret["deleted_at"]).order_by(_VERSIONS.c.key_id.is_(None))
    else:
        query = query.where(_VERSIONS.c.key_id.is_not(None)).order_by(_VERSIONS.c.deleted_at.desc())
    found = await transaction.execute(query.order_by(_VERSIONS.c.version.desc()).limit(1))
    return found.mappings().one_or_none()


async def restore(transaction: AsyncConnection, secret_id: UUID, moment: datetime) -> int:
    """Undo the deletion of that moment, on a locked secret; says how many versions it brought back."""
    await transaction.execute(update(_SECRETS).where(_SECRETS.c.id == secret_id).values(deleted_at=None))
    found = await transaction.execute(
        update(_VERSIONS)
        .where(_VERSIONS.c.secret_id == secret_id, _VERSIONS.c.deleted_at == moment)
        .values(deleted_at=None, deleted_by=None)
    )
    await note_newest(transaction, secret_id)
    return found.rowcount


async def move(transaction: AsyncConnection, row: Row, secret_id: UUID, version: int, sealed: bytes | None) -> None:
    """Bring a deleted version back as this version of another secret; both secrets are locked."""
    await transaction.execute(
        update(_VERSIONS)
        .where(_VERSIONS.c.secret_id == row["secret_id"], _VERSIONS.c.version == row["version"])
        .values(secret_id=secret_id, version=version, sealed=sealed, deleted_at=None, deleted_by=None)
    )
    await note_newest(transaction, secret_id)


async def hold_vault(transaction: AsyncConnection, vault_id: UUID) -> Row | None:
    """A live vault's row, with the fingerprint of its customer's key, kept as it is until the transaction ends."""
    query = select(_VAULTS).where(_VAULTS.c.id == vault_id, _VAULTS.c.deleted_at.is_(None))
    return (await transaction.execute(query.with_for_update(read=True))).mappings().one_or_none()
