"""The sealed values of a vault for those who go through all of them: in path order, a bounded part at a time.

Disabled and deleted versions are gone through too: they may be restored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Integer, bindparam, text
from sqlalchemy import UUID as SqlUUID
from sqlalchemy.ext.asyncio import AsyncConnection

MAX_VALUES: Final = 100
# a value has at most 5 MiB; the last of a part may go beyond
MAX_BYTES: Final = 4 * 1024 * 1024

# bytes 1 to 4 of what the signer seals are the number of the vault's key, most significant first
UNDER_OLDER_KEY: Final = "substring(v.sealed from 2 for 4) < int4send(CAST(:key_version AS integer))"
OF_FINGERPRINT: Final = "v.cmek_fingerprint = :fingerprint"

_PART = """
    WITH found AS (
        SELECT s.path, v.secret_id, v.version, octet_length(v.sealed) AS size
        FROM secrets s JOIN secret_versions v ON v.secret_id = s.id
        WHERE s.vault_id = :vault_id AND s.path >= :path AND (s.path > :path OR v.version > :version)
          AND v.sealed IS NOT NULL AND {which}
        ORDER BY s.path, v.version
        LIMIT :max_values
    ), measured AS (
        SELECT path, secret_id, version, sum(size) OVER (ORDER BY path, version) - size AS bytes_before FROM found
    )
    SELECT m.path, m.secret_id, m.version, v.sealed
    FROM measured m JOIN secret_versions v ON v.secret_id = m.secret_id AND v.version = m.version
    WHERE m.bytes_before < :max_bytes
    ORDER BY m.path, m.version
"""
_COUNT = """
    SELECT count(*) FROM secrets s JOIN secret_versions v ON v.secret_id = s.id
    WHERE s.vault_id = :vault_id AND v.sealed IS NOT NULL AND {which}
"""
# whoever is just being charged for a read or deleted is left for the next round: waiting could be waiting in a circle
_LOCK = text(
    """
    SELECT secret_id, version FROM secret_versions
    WHERE (secret_id, version) IN (SELECT * FROM unnest(:secret_ids, :versions))
    FOR NO KEY UPDATE SKIP LOCKED
    """
).bindparams(
    bindparam("secret_ids", type_=ARRAY(SqlUUID(as_uuid=True))),
    bindparam("versions", type_=ARRAY(Integer)),
)
_REPLACE = text(
    """
    UPDATE secret_versions SET sealed = :new, cmek_fingerprint = coalesce(:fingerprint, cmek_fingerprint)
    WHERE secret_id = :secret_id AND version = :version AND sealed = :old
    """
)


@dataclass(frozen=True)
class Place:
    """How far somebody has gone: everything up to this version of this path."""

    path: str = ""
    version: int = 0


@dataclass(frozen=True)
class Value:
    """A version with what is sealed in it."""

    secret_id: UUID
    path: str
    version: int
    sealed: bytes = field(repr=False)

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.path, self.version)


@dataclass(frozen=True)
class Change:
    """What is to take a value's place, and under which customer's key it is (None: as before)."""

    value: Value
    sealed: bytes = field(repr=False)
    fingerprint: str | None = None


async def part(
    transaction: AsyncConnection, vault_id: UUID, which: str, parameters: Mapping[str, Any], after: Place
) -> list[Value]:
    """The next values behind a place, at most 100 and about 4 MiB; `which` is one of this module's conditions."""
    found = await transaction.execute(
        text(_PART.format(which=which)),
        {
            "vault_id": vault_id,
            "path": after.path,
            "version": after.version,
            "max_values": MAX_VALUES,
            "max_bytes": MAX_BYTES,
            **parameters,
        },
    )
    return [Value(row.secret_id, row.path, row.version, bytes(row.sealed)) for row in found]


async def count(transaction: AsyncConnection, vault_id: UUID, which: str, parameters: Mapping[str, Any]) -> int:
    """How many such values the vault has."""
    found = await transaction.execute(text(_COUNT.format(which=which)), {"vault_id": vault_id, **parameters})
    return int(found.scalar_one())


async def replace(transaction: AsyncConnection, changes: Sequence[Change]) -> int:
    """Put the new values in the place of exactly the old ones; returns how many.

    A value that has changed meanwhile, or is in use by somebody else at the moment, stays as it is.
    """
    if not changes:
        return 0
    found = await transaction.execute(
        _LOCK,
        {
            "secret_ids": [change.value.secret_id for change in changes],
            "versions": [change.value.version for change in changes],
        },
    )
    locked = {(row.secret_id, row.version) for row in found}
    free = [change for change in changes if (change.value.secret_id, change.value.version) in locked]
    if not free:
        return 0
    replaced = await transaction.execute(
        _REPLACE,
        [
            {
                "secret_id": change.value.secret_id,
                "version": change.value.version,
                "old": change.value.sealed,
                "new": change.sealed,
                "fingerprint": change.fingerprint,
            }
            for change in free
        ],
    )
    return replaced.rowcount
