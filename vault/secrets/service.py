"""Store, read, list and delete secrets.

Permission is always decided before existence is looked at, and a value leaves only after the transaction that
holds its audit row (and has charged its read) is committed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import format_address
from signer.client import SignerClient
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import Problem, bad_request, conflict, forbidden, gone, not_found
from vault.policies.access import Access, load_access
from vault.schemas import Page
from vault.secrets import repository
from vault.secrets.context import seal_context
from vault.secrets.paths import check_path
from vault.secrets.repository import Row
from vault.secrets.schemas import (
    GenerateKeyRequest,
    PutSecretRequest,
    SecretCreatedResponse,
    SecretMetadataResponse,
    SecretResponse,
)
from vault.secrets.types import CLOSED_TO_INTENTS, GENERIC, PRIVATE_KEY, is_broken_key, parse_signing_key

SCAN_BATCH = 1000


@dataclass(frozen=True)
class _Place:
    """Where a version is written; `context` binds the sealed value to it."""

    vault_id: UUID
    path: str
    secret_id: UUID
    version: int

    @property
    def context(self) -> bytes:
        return seal_context(self.vault_id, self.path, self.version)


async def put_secret(
    context: Context, caller: Caller, vault_id: UUID, path: str, body: PutSecretRequest
) -> SecretCreatedResponse:
    """Store a new version. A private key that fits secp256k1 goes behind the HSM instead of being sealed."""
    check_path(path)
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require(path, "write")
        # locks the path: concurrent writers get consecutive versions, and the version is bound into the seal
        secret_id, version = await repository.next_version(transaction, vault_id, path)
        place = _Place(vault_id, path, secret_id, version)
        type_ = body.named_type or await repository.newest_type(transaction, secret_id) or GENERIC
        content = await _protect(context.signer, place, type_, body)
        await _keep_signing_key(transaction, vault_id, path, content)
        row = await _write_version(
            transaction,
            caller,
            place,
            type=type_,
            metadata=body.metadata,
            expires_at=body.expires_at,
            rotation_policy=body.rotation_policy,
            max_access_count=body.max_access_count or None,
            **content,
        )
    return SecretCreatedResponse(**_metadata(place.secret_id, path, row))


async def generate_key(
    context: Context, caller: Caller, vault_id: UUID, path: str, body: GenerateKeyRequest
) -> SecretCreatedResponse:
    """Generate a signing key in the HSM for this path; 409 when something is there, so that no key is displaced."""
    check_path(path)
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require(path, "write")
        secret_id, version = await repository.next_version(transaction, vault_id, path)
        # looked at under the path's lock; the rollback undoes the version number taken
        there = await repository.current(transaction, vault_id, path)
        if there is not None and there["version"] is not None:
            raise conflict(f"There is a secret at {path} already; delete it first or choose another path")
        key = await context.signer.generate_key(uuid4())
        place = _Place(vault_id, path, secret_id, version)
        row = await _write_version(
            transaction,
            caller,
            place,
            type=PRIVATE_KEY,
            metadata=body.metadata,
            expires_at=body.expires_at,
            key_id=key.key_id,
            address=key.address,
        )
    return SecretCreatedResponse(**_metadata(secret_id, path, row))


async def get_secret(context: Context, caller: Caller, vault_id: UUID, path: str) -> SecretResponse:
    """The newest version with its value; 403 without permission, 404 when never there, 410 when no longer."""
    check_path(path)
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require(path, "read")
        row = _readable(caller, path, await repository.current(transaction, vault_id, path))
        limited = row["max_access_count"] is not None
        if limited and not await repository.charge_read(transaction, row["secret_id"], row["version"]):
            raise gone(f"The secret at {path} has been read as often as it may be")
        sealed_to = seal_context(vault_id, path, row["version"])
        value = await context.signer.open(vault_id, sealed_to, bytes(row["sealed"]))
        await write_for(
            transaction,
            caller,
            "secret.read",
            "secret",
            row["secret_id"],
            vault_id=str(vault_id),
            path=path,
            version=row["version"],
        )
    # only here: the audit row and the charge are committed
    return SecretResponse(
        **_metadata(row["secret_id"], path, row),
        value=value.decode(),
        created_by=f"{row['created_by_type']}:{row['created_by']}",
    )


async def list_secrets(
    context: Context, caller: Caller, vault_id: UUID, *, prefix: str, page: Page
) -> list[SecretMetadataResponse]:
    """A page, by path, of what the caller may read; 403 for somebody to whom nothing in the vault is granted."""
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require_bound()
        if not (access.created_it or access.has_grant):
            raise forbidden("No policy grants you access to this vault")
        chosen = await _readable_paths(transaction, access, prefix, page)
        rows = await repository.current_of(transaction, vault_id, chosen) if chosen else []
    return [SecretMetadataResponse(**_metadata(row["secret_id"], row["path"], row)) for row in rows]


async def delete_secret(context: Context, caller: Caller, vault_id: UUID, path: str) -> None:
    """Delete all versions (softly); a signing key at the path is not found for signing any more."""
    check_path(path)
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require(path, "write")
        secret_id = await repository.remove(transaction, vault_id, path)
        if secret_id is None:
            there = await repository.current(transaction, vault_id, path)
            raise _missing(path) if there is None else _deleted(path)
        await write_for(transaction, caller, "secret.delete", "secret", secret_id, vault_id=str(vault_id), path=path)


async def _keep_signing_key(
    transaction: AsyncConnection, vault_id: UUID, path: str, content: Mapping[str, Any]
) -> None:
    """409 when something that cannot sign would take the place of a signing key: a slip that stops a wallet."""
    there = await repository.current(transaction, vault_id, path)
    if there is not None and there["key_id"] is not None and "key_id" not in content:
        raise conflict(f"There is a signing key at {path}; delete it first to store something else there")


async def _protect(signer: SignerClient, place: _Place, type_: str, body: PutSecretRequest) -> dict[str, Any]:
    """The columns that stand for the value: a key reference, a sealed value, or (asked for) both."""
    if type_ == PRIVATE_KEY and is_broken_key(body.value):
        raise bad_request("value: looks like a private key, but is none: 64 hex digits (0x optional), 1 to n-1")
    key_bytes = parse_signing_key(body.value) if type_ == PRIVATE_KEY else None
    columns: dict[str, Any] = {}
    if key_bytes is not None:
        key = await signer.import_key(uuid4(), key_bytes)
        columns = {"key_id": key.key_id, "address": key.address}
        columns["exportable"] = body.metadata.get("exportable") is True
        if not columns["exportable"]:
            return columns
    columns["sealed"] = await signer.seal(place.vault_id, place.context, body.value.encode())
    return columns


async def _write_version(
    transaction: AsyncConnection, caller: Caller, place: _Place, *, metadata: dict[str, Any], **columns: Any
) -> Row:
    """Insert the version and its audit row."""
    row = await repository.add_version(
        transaction,
        {
            "secret_id": place.secret_id,
            "version": place.version,
            "metadata": metadata,
            "created_by": caller.id,
            "created_by_type": caller.kind,
            **columns,
        },
    )
    await write_for(
        transaction,
        caller,
        "secret.write",
        "secret",
        place.secret_id,
        vault_id=str(place.vault_id),
        path=place.path,
        version=place.version,
        type=row["type"],
        **({} if row["address"] is None else {"address": format_address(bytes(row["address"]))}),
    )
    return row


def _readable(caller: Caller, path: str, row: Row | None) -> Row:
    """The row if its value may be opened for this caller now; raises 404, 410 or 403 otherwise."""
    if row is None:
        raise _missing(path)
    if row["secret_deleted_at"] is not None:
        raise _deleted(path)
    if row["version"] is None:
        raise gone(f"Every version of the secret at {path} is disabled")
    if row["is_expired"]:
        raise gone(f"The secret at {path} has expired")
    if caller.is_agent and caller.intents_api_enabled and row["type"] in CLOSED_TO_INTENTS:
        raise forbidden(
            f"Agents with the Intents API cannot read secrets of type {row['type']}; submit a transaction instead"
        )
    if row["sealed"] is None:
        raise forbidden(
            "This signing key is held by the HSM and cannot be read back;"
            ' only a key stored with metadata {"exportable": true} can'
        )
    return row


async def _readable_paths(transaction: AsyncConnection, access: Access, prefix: str, page: Page) -> list[str]:
    """The page of paths the caller may read, found by walking all paths in bounded batches."""
    chosen: list[str] = []
    after, skipped = "", 0
    # ends: every batch begins behind the last path of the one before
    while True:
        batch = await repository.paths(transaction, access.vault.id, prefix=prefix, after=after, limit=SCAN_BATCH)
        for path in batch:
            if not access.may(path, "read"):
                continue
            if skipped < page.offset:
                skipped += 1
                continue
            chosen.append(path)
            if len(chosen) == page.limit:
                return chosen
        if len(batch) < SCAN_BATCH:
            return chosen
        after = batch[-1]


def _metadata(secret_id: UUID, path: str, row: Row) -> dict[str, Any]:
    metadata = dict(row["metadata"])
    if row["address"] is not None:
        metadata["address"] = format_address(bytes(row["address"]))
    return {
        "id": str(secret_id),
        "path": path,
        "type": row["type"],
        "version": row["version"],
        "metadata": metadata,
        "created_at": row["created_at"],
        "expires_at": row["expires_at"],
    }


def _missing(path: str) -> Problem:
    return not_found(f"No secret at {path}")


def _deleted(path: str) -> Problem:
    return gone(f"The secret at {path} was deleted")
