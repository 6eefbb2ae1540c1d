"""The versions of one secret: list them, take one out of service."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.policies.access import load_access, load_access_again
from vault.schemas import Page
from vault.secrets import absent, reach, repository
from vault.secrets.confirm import with_word
from vault.secrets.paths import check_path
from vault.secrets.schemas import SecretMetadataResponse
from vault.secrets.shown import metadata_of


async def list_versions(
    context: Context, caller: Caller, vault_id: UUID, path: str, *, page: Page
) -> list[SecretMetadataResponse]:
    """A page of what was stored at a path, newest first, without values; no read is charged. 403, 404, 410."""
    check_path(path)
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require(path, "read")
        there = await repository.lookup(transaction, vault_id, path)
        if there is None:
            raise absent.missing(path)
        if there["deleted_at"] is not None:
            raise absent.deleted(path)
        rows = await repository.versions(transaction, there["id"], page)
    return [SecretMetadataResponse(**metadata_of(there["id"], path, row)) for row in rows]


async def disable_version(
    context: Context, caller: Caller, vault_id: UUID, path: str, version: int, *, confirm: str | None = None
) -> None:
    """Take a version out of service: not readable, not the newest. A second time changes nothing.

    403 for an agent where a signing key lies; 409 `confirmation_required` for one that holds coin.
    """
    check_path(path)

    async def attempt(cleared: frozenset[bytes]) -> None:
        async with context.database.begin() as transaction:
            await _disable(transaction, caller, vault_id, path, version, cleared)

    await with_word(context, confirm, "address", attempt)


async def _disable(
    transaction: AsyncConnection,
    caller: Caller,
    vault_id: UUID,
    path: str,
    version: int,
    cleared: frozenset[bytes],
) -> None:
    (await load_access(transaction, caller, vault_id)).require(path, "write")
    # against somebody who stores the next version just now: lists show the newest of both
    await repository.lock(transaction, vault_id, path)
    # once more: a policy may have been taken back while this waited
    (await load_access_again(transaction, caller, vault_id)).require(path, "write")
    row = await repository.version_of(transaction, vault_id, path, version)
    if row is None:
        raise absent.missing(path)
    if row["version"] is None:
        raise absent.missing(path, version)
    if row["secret_deleted_at"] is not None or row["deleted_at"] is not None:
        raise absent.deleted(path, version)
    reach.spare(caller, await repository.key_addresses(transaction, vault_id, path), f"at {path}")
    if row["key_id"] is not None and row["disabled_at"] is None and not row["unconfirmed"]:
        reach.require_cleared([bytes(row["address"])], cleared)
    if await repository.disable(transaction, row["secret_id"], version, caller.id):
        await write_for(
            transaction,
            caller,
            "secret.disable",
            "secret",
            row["secret_id"],
            vault_id=str(vault_id),
            path=path,
            version=version,
        )
