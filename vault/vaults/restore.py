"""Bring a deleted vault back, with its secrets, policies and bindings as they were."""

from uuid import UUID

from sqlalchemy.exc import IntegrityError

from vault.auth.again import still
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import bad_request, conflict
from vault.orgs.tiers import require_room
from vault.secrets import repository as secrets
from vault.vaults import repository
from vault.vaults.schemas import VaultResponse
from vault.vaults.service import checked_name, shown
from vault.vaults.undo import load_undoer


async def restore_vault(context: Context, caller: Caller, vault_id: UUID, name: str | None) -> VaultResponse:
    """Undo a vault's deletion, under another `name` where its own was taken meanwhile (409 until one is given).

    404 for an unknown vault, 403 for whoever may not, 409 when it is not deleted. A vault that holds signing keys
    needs no room in the organisation's tier: what they hold must not depend on that.
    """
    if name is not None:
        name = checked_name(name)
    try:
        async with context.database.begin() as transaction:
            await load_undoer(transaction, context, caller, vault_id, of_deleted=True)
            row = await repository.lock_any(transaction, vault_id)
            # behind the lock: the credential may have been ended while this waited
            caller = await still(transaction, caller)
            undoer = await load_undoer(transaction, context, caller, vault_id, of_deleted=True)
            undoer.require(row["deleted_at"], row["deleted_by"])
            if row["deleted_at"] is None:
                raise conflict("This vault is not deleted")
            if row["is_system"] and name is not None:
                raise bad_request("name: this vault's name is the system's to give")
            if not (row["is_system"] or await secrets.key_addresses(transaction, vault_id)):
                await require_room(transaction, undoer.org_id, "vaults")
            row = await repository.restore(transaction, vault_id, name)
            await undoer.write(transaction, "vault.restore", "vault", vault_id, name=row["name"])
    except IntegrityError as error:
        if "uq_vaults_org_id_name" in str(error.orig):
            raise conflict("Another vault has this name by now; send the name it is to have as `name`") from None
        raise
    return shown(row)
