"""Say that clients encrypt a vault's values with a key of their own, or that they do so no longer."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.cmek import repository
from vault.context import Context
from vault.errors import conflict, forbidden, not_found
from vault.orgs.tiers import has_cmek
from vault.policies.access import load_access, load_access_again
from vault.vaults import repository as vaults
from vault.vaults.repository import Row
from vault.vaults.schemas import VaultResponse
from vault.vaults.service import shown


async def enable(context: Context, caller: Caller, vault_id: UUID, fingerprint: str) -> VaultResponse:
    """Have values written from now on count as encrypted with this key; 409 while another one is set."""
    async with context.database.begin() as transaction:
        row = await managed_vault(transaction, caller, vault_id)
        await require_tier(transaction, caller)
        if row["cmek_fingerprint"] == fingerprint:
            return shown(row)
        if row["cmek_fingerprint"] is not None:
            raise conflict("This vault has another customer key; rotate it, or disable CMEK first")
        row = await vaults.set_fingerprint(transaction, vault_id, fingerprint)
        await write_for(transaction, caller, "vault.enable_cmek", "vault", vault_id, fingerprint=fingerprint)
    return shown(row)


async def disable(context: Context, caller: Caller, vault_id: UUID) -> VaultResponse:
    """Have values written from now on count as not encrypted; those that are stay so, and say so.

    409 while a rotation runs; one that was interrupted ends here, for the case that its keys are lost.
    """
    async with context.database.begin() as transaction:
        row = await managed_vault(transaction, caller, vault_id)
        before = row["cmek_fingerprint"]
        if before is None:
            return shown(row)
        await repository.interrupt_silent(transaction, vault_id)
        job = await repository.unfinished(transaction, vault_id)
        if job is not None and job["status"] == "running":
            raise conflict("The vault's customer key is being rotated at the moment")
        if job is not None:
            ended = await repository.finish(
                transaction, job["id"], "failed", "CMEK was disabled before it was finished"
            )
            await write_for(
                transaction,
                caller,
                "vault.rotate_cmek_failed",
                "vault",
                vault_id,
                job_id=str(ended["id"]),
                processed=ended["processed"],
                failed=ended["failed"],
                started_by=str(ended["created_by"]),
            )
        row = await vaults.set_fingerprint(transaction, vault_id, None)
        await write_for(transaction, caller, "vault.disable_cmek", "vault", vault_id, fingerprint=before)
    return shown(row)


async def managed_vault(transaction: AsyncConnection, caller: Caller, vault_id: UUID) -> Row:
    """The vault, kept as it is until the transaction ends; 403 unless the caller manages it."""
    (await load_access(transaction, caller, vault_id)).require_manager()
    row = await vaults.lock(transaction, vault_id)
    # once more: what ended the caller's rights while this waited for another rotation counts
    (await load_access_again(transaction, caller, vault_id)).require_manager()
    if row is None:
        raise not_found("Vault not found")
    if row["is_system"]:
        raise forbidden("This vault holds keys that the system makes; clients cannot encrypt them")
    return row


async def require_tier(transaction: AsyncConnection, caller: Caller) -> None:
    """403 unless the organisation's tier has CMEK."""
    if not await has_cmek(transaction, caller.org_id):
        raise forbidden("Customer-managed keys (CMEK) are not part of your organisation's tier")
