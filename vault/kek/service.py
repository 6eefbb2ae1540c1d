"""Begin and show rotations of a vault's key-encryption key; the worker does the rest (`vault.kek.rewrap`)."""

from uuid import UUID, uuid4

from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import not_found
from vault.kek import repository
from vault.kek.schemas import KeyRotationResponse, shown
from vault.policies.access import load_access, load_access_again
from vault.schemas import Page
from vault.vaults import sealed


async def rotate_key(context: Context, caller: Caller, vault_id: UUID) -> KeyRotationResponse:
    """Give the vault a new key, under which everything is sealed from now on; a running rotation stays the one."""
    async with context.database.begin() as transaction:
        (await load_access(transaction, caller, vault_id)).require_manager()
        await repository.lock(transaction, vault_id)
        # once more: what ended the caller's rights while this waited counts
        (await load_access_again(transaction, caller, vault_id)).require_manager()
        row = await repository.running(transaction, vault_id)
        if row is not None:
            return shown(row)
        version = await repository.next_version(transaction, vault_id)
        total = await sealed.count(transaction, vault_id, sealed.UNDER_OLDER_KEY, {"key_version": version})
        row = await repository.add(
            transaction,
            {
                "id": uuid4(),
                "vault_id": vault_id,
                "key_version": version,
                "total": total,
                "created_by": caller.id,
            },
        )
        await write_for(transaction, caller, "vault.rotate_key", "vault", vault_id, key_version=version)
        # last: should the commit fail, the next rotation finds this version there and goes on with it
        await context.signer.rotate_vault_key(vault_id, version)
    return shown(row)


async def show_rotation(context: Context, caller: Caller, vault_id: UUID, rotation_id: UUID) -> KeyRotationResponse:
    """One rotation of the vault's key."""
    async with context.database.begin() as transaction:
        (await load_access(transaction, caller, vault_id)).require_manager()
        row = await repository.get(transaction, vault_id, rotation_id)
    if row is None:
        raise not_found("No such rotation")
    return shown(row)


async def list_rotations(context: Context, caller: Caller, vault_id: UUID, page: Page) -> list[KeyRotationResponse]:
    """A page of them, newest first."""
    async with context.database.begin() as transaction:
        (await load_access(transaction, caller, vault_id)).require_manager()
        rows = await repository.page(transaction, vault_id, page)
    return [shown(row) for row in rows]
