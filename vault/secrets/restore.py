"""Undo what put a secret, or a version of one, out of reach: a deletion, a disabling, an expiry."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.again import still
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import bad_request, conflict, forbidden, not_found
from vault.orgs.tiers import require_room
from vault.policies.access import load_access
from vault.secrets import absent, repository
from vault.secrets.context import seal_context
from vault.secrets.paths import check_path
from vault.secrets.repository import Row
from vault.secrets.schemas import SecretMetadataResponse
from vault.secrets.shown import metadata_of
from vault.vaults.undo import Undoer, load_undoer


async def restore_secret(context: Context, caller: Caller, vault_id: UUID, path: str, to: str | None = None) -> None:
    """Bring back the versions that the last deletion took, beside what came later.

    Of a path that lives again that is the deletion which took its signing key; other versions of it stay deleted.
    A signing key comes back as what the path stands for, whatever value came later; where another signing key came,
    409 until the request names another path (`to`) for it, which only an owner or admin may. 404 when never there,
    409 when not deleted, 403 for who may not, and when the tier has no room for one more secret (keys need none).
    """
    check_path(path)
    if to is not None:
        check_path(to)
    async with context.database.begin() as transaction:
        await load_undoer(transaction, context, caller, vault_id)
        there = await repository.lock(transaction, vault_id, path)
        # once more: the vault may have been deleted, or the credential ended, while this waited
        undoer = await load_undoer(transaction, context, await still(transaction, caller), vault_id)
        last = None if there is None else await repository.last_deletion(transaction, there)
        if last is None:
            undoer.require()
            raise absent.missing(path) if there is None else conflict(f"There is no deletion at {path} to undo")
        assert there is not None
        await _require(transaction, undoer, vault_id, path, last["deleted_at"], last["deleted_by"])
        if to is not None:
            _require_charge(undoer, last["deleted_at"])
        if last["key_id"] is None:
            if to is not None:
                raise bad_request("path: only a signing key can be restored to another path")
            await require_room(transaction, undoer.org_id, "secrets")
        else:
            await _require_place(transaction, vault_id, path, to)
        if to is not None:
            await _restore_to(transaction, context, undoer, vault_id, path, to, last)
            return
        versions = await repository.restore(transaction, there["id"], last["deleted_at"])
        await undoer.write(
            transaction,
            "secret.restore",
            "secret",
            there["id"],
            vault_id=str(vault_id),
            path=path,
            versions=versions,
        )


async def enable_version(context: Context, caller: Caller, vault_id: UUID, path: str, version: int) -> None:
    """Put a disabled version back into service; a second time changes nothing. 403, 404, 410 when it was deleted."""
    check_path(path)
    async with context.database.begin() as transaction:
        undoer, row = await _version(transaction, context, caller, vault_id, path, version)
        done_at, by = (None, None) if row is None else (row["disabled_at"], row["disabled_by"])
        await _require(transaction, undoer, vault_id, path, done_at, by)
        row = _there(row, path, version)
        if row["disabled_at"] is None:
            return
        await repository.enable(transaction, row["secret_id"], version)
        await undoer.write(
            transaction,
            "secret.enable",
            "secret",
            row["secret_id"],
            vault_id=str(vault_id),
            path=path,
            version=version,
        )


async def extend_version(
    context: Context, caller: Caller, vault_id: UUID, path: str, version: int, expires_at: datetime | None
) -> SecretMetadataResponse:
    """Give a version a later end, or none; 400 for an earlier one. 403, 404, 410 when it was deleted."""
    check_path(path)
    async with context.database.begin() as transaction:
        undoer, row = await _version(transaction, context, caller, vault_id, path, version)
        done_at = row["expires_at"] if row is not None and row["is_expired"] else None
        by = row["created_by"] if row is not None and row["created_by_type"] == "user" else None
        await _require(transaction, undoer, vault_id, path, done_at, by)
        row = _there(row, path, version)
        before = row["expires_at"]
        if before is None or (expires_at is not None and expires_at <= before):
            raise bad_request("expires_at: must be later than it is now; this only extends")
        await repository.set_expiry(transaction, row["secret_id"], version, expires_at)
        await undoer.write(
            transaction,
            "secret.extend",
            "secret",
            row["secret_id"],
            vault_id=str(vault_id),
            path=path,
            version=version,
            before=before.isoformat(),
            after=None if expires_at is None else expires_at.isoformat(),
        )
    return SecretMetadataResponse(**metadata_of(row["secret_id"], path, {**row, "expires_at": expires_at}))


async def _require(
    transaction: AsyncConnection,
    undoer: Undoer,
    vault_id: UUID,
    path: str,
    done_at: datetime | None,
    done_by: UUID | None,
) -> None:
    """As `Undoer.require`; whoever did it must still be allowed to write there."""
    caller = undoer.caller
    if not undoer.manages and done_by == caller.id and caller.org_id == undoer.org_id:
        (await load_access(transaction, caller, vault_id)).require(path, "write")
    undoer.require(done_at, done_by)


def _require_charge(undoer: Undoer, done_at: datetime) -> None:
    """Raise 403 for who does not answer for the whole vault.

    At another path other policies count: whoever moves a key decides who reads it and who signs with it.
    """
    if not undoer.manages and not undoer.administers(done_at):
        raise forbidden("Only an owner or admin of the organisation may restore a key to another path")


async def _require_place(transaction: AsyncConnection, vault_id: UUID, path: str, to: str | None) -> None:
    """Raise 409 unless the key can sign from its own path again or, because another one does by now, from `to`."""
    current = await repository.current(transaction, vault_id, path)
    is_taken = current is not None and current["key_id"] is not None and not current["unconfirmed"]
    if is_taken and to is None:
        raise conflict(
            f"Another signing key lies at {path} by now; an owner or admin may send the path at which this one is to"
            " lie as `path`, or disable the other one first"
        )
    if to is not None and not is_taken:
        raise conflict(f"No other signing key lies at {path}: restore this one there, without `path`")


async def _restore_to(
    transaction: AsyncConnection, context: Context, undoer: Undoer, vault_id: UUID, path: str, to: str, row: Row
) -> None:
    """Bring a signing key back at a path where nothing lies."""
    if await repository.hold_vault(transaction, vault_id) is None:
        raise not_found("Vault not found")
    secret_id, version = await repository.next_version(transaction, vault_id, to)
    # looked at under the path's lock; the rollback undoes the version number taken
    if await repository.newest(transaction, secret_id) is not None or secret_id == row["secret_id"]:
        raise conflict(f"There is a secret at {to} already; choose another path")
    sealed = row["sealed"]
    if sealed is not None:
        # bound to its old place; only an exportable key is sealed too
        value = await context.signer.open(vault_id, seal_context(vault_id, path, row["version"]), bytes(sealed))
        sealed = await context.signer.seal(vault_id, seal_context(vault_id, to, version), value)
    await repository.move(transaction, row, secret_id, version, sealed)
    await undoer.write(
        transaction,
        "secret.restore",
        "secret",
        secret_id,
        vault_id=str(vault_id),
        path=to,
        versions=1,
        from_path=path,
        from_version=row["version"],
    )


async def _version(
    transaction: AsyncConnection, context: Context, caller: Caller, vault_id: UUID, path: str, version: int
) -> tuple[Undoer, Row | None]:
    await load_undoer(transaction, context, caller, vault_id)
    await repository.lock(transaction, vault_id, path)
    # once more: the vault may have been deleted, or the credential ended, while this waited
    undoer = await load_undoer(transaction, context, await still(transaction, caller), vault_id)
    return undoer, await repository.version_of(transaction, vault_id, path, version)


def _there(row: Row | None, path: str, version: int) -> Row:
    """The version; 404 where there never was one, 410 where it was deleted."""
    if row is None:
        raise absent.missing(path)
    if row["version"] is None:
        raise absent.missing(path, version)
    if row["secret_deleted_at"] is not None or row["deleted_at"] is not None:
        raise absent.deleted(path, version)
    return row
