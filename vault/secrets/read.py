"""Read a value. It leaves only after the transaction that charged the read and wrote its audit row is committed."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from signer.errors import SealBroken
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import Problem, conflict, forbidden
from vault.policies.access import load_access, load_access_again
from vault.secrets import absent, repository
from vault.secrets.context import seal_context
from vault.secrets.paths import check_path
from vault.secrets.repository import Row
from vault.secrets.schemas import SecretResponse
from vault.secrets.shown import metadata_of
from vault.secrets.types import CLOSED_TO_INTENTS


class _Altered(Exception):  # noqa: N818 - reads as what it says
    """What is stored does not open here; nothing of this transaction may stay."""

    def __init__(self, row: Row) -> None:
        super().__init__("the sealed value does not open")
        self.row = row


async def get_secret(
    context: Context, caller: Caller, vault_id: UUID, path: str, version: int | None = None
) -> SecretResponse:
    """A version (default: the newest enabled one) with its value.

    Raises 403 without permission, 404 when never there, 410 when no longer, 409 when what is stored was altered.
    """
    check_path(path)
    try:
        row, value = await _open(context, caller, vault_id, path, version)
    except _Altered as altered:
        raise await _report(context, caller, vault_id, path, altered.row) from None
    # only here: the audit row and the charge are committed
    return SecretResponse(
        **metadata_of(row["secret_id"], path, row),
        value=value.decode(),
        created_by=f"{row['created_by_type']}:{row['created_by']}",
    )


async def look(context: Context, caller: Caller, vault_id: UUID, path: str, version: int | None = None) -> None:
    """Find out whether `get_secret` would answer: nothing is opened, charged or noted. Raises as it does."""
    check_path(path)
    async with context.database.begin() as transaction:
        await _find(transaction, caller, vault_id, path, version)


async def _open(
    context: Context, caller: Caller, vault_id: UUID, path: str, version: int | None
) -> tuple[Row, bytes]:
    """The row and its value, of a transaction that is committed."""
    async with context.database.begin() as transaction:
        row = await _find(transaction, caller, vault_id, path, version)
        if row["max_access_count"] is not None:
            if not await repository.charge_read(transaction, row["secret_id"], row["version"]):
                raise absent.used_up(path, version)
            # the charge may have waited for other readers: what was revoked by then counts
            (await load_access_again(transaction, caller, vault_id)).require(path, "read")
        sealed_to = seal_context(vault_id, path, row["version"])
        try:
            value = await context.signer.open(vault_id, sealed_to, bytes(row["sealed"]))
        except SealBroken:
            raise _Altered(row) from None
        await write_for(
            transaction, caller, "secret.read", "secret", row["secret_id"], **_details(vault_id, path, row)
        )
    return row, value


async def _find(transaction: AsyncConnection, caller: Caller, vault_id: UUID, path: str, version: int | None) -> Row:
    """The version that is asked for, if the caller may read it now."""
    (await load_access(transaction, caller, vault_id)).require(path, "read")
    if version is None:
        found = await repository.current(transaction, vault_id, path)
    else:
        found = await repository.version_of(transaction, vault_id, path, version)
    return _readable(caller, path, version, found)


async def _report(context: Context, caller: Caller, vault_id: UUID, path: str, row: Row) -> Problem:
    """Audit that a stored value was altered, in a transaction of its own: the read's was rolled back."""
    async with context.database.begin() as transaction:
        await write_for(
            transaction, caller, "secret.seal_broken", "secret", row["secret_id"], **_details(vault_id, path, row)
        )
    return conflict(
        f"The stored value of the secret at {path} was altered or moved and does not open; store it anew"
        " or restore it from a backup"
    )


def _details(vault_id: UUID, path: str, row: Row) -> dict[str, object]:
    return {"vault_id": str(vault_id), "path": path, "version": row["version"]}


def _readable(caller: Caller, path: str, version: int | None, row: Row | None) -> Row:
    """The row if its value may be opened for this caller now; raises 404, 410 or 403 otherwise."""
    if row is None:
        raise absent.missing(path)
    if row["version"] is None and version is not None:
        raise absent.missing(path, version)
    if row["secret_deleted_at"] is not None:
        raise absent.deleted(path)
    if row["version"] is None:
        raise absent.disabled(path)
    if row["deleted_at"] is not None:
        raise absent.deleted(path, version)
    if row["disabled_at"] is not None:
        raise absent.disabled(path, version)
    if row["is_expired"]:
        raise absent.expired(path, version)
    if caller.is_agent and caller.intents_api_enabled and row["type"] in CLOSED_TO_INTENTS:
        raise forbidden(
            f"Agents with the Intents API cannot read secrets of type {row['type']}; submit a transaction instead"
        )
    if row["sealed"] is None:
        raise forbidden(
            "This signing key is held by the HSM and cannot be read back;"
            ' only a key stored with metadata {"exportable": true} can'
        )
    if row["max_access_count"] is not None and row["access_count"] >= row["max_access_count"]:
        # without waiting in the row's queue; the charge itself decides for those who pass here
        raise absent.used_up(path, version)
    return row
