"""Begin, resume and show rotations of a customer's key; the work itself is `vault.cmek.reencrypt`."""

from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.cmek import repository
from vault.cmek.keys import NEW_HEADER, OLD_HEADER, KeyPair
from vault.cmek.reencrypt import Job, reencrypt
from vault.cmek.repository import Row
from vault.cmek.schemas import CmekRotationJobResponse, shown
from vault.cmek.service import managed_vault, require_tier
from vault.context import Context
from vault.errors import bad_request, conflict, not_found
from vault.policies.access import load_access
from vault.vaults import sealed


async def rotate(
    context: Context, caller: Caller, vault_id: UUID, keys: KeyPair, new_fingerprint: str
) -> CmekRotationJobResponse:
    """Go over to the new key, in this process; a job with the same keys is resumed, or left to whoever works on it.

    400 when the keys are not the vault's and the named one, 409 while a job with other keys is unfinished.
    """
    if keys.new.fingerprint != new_fingerprint:
        raise bad_request(f"{NEW_HEADER}: its SHA-256 is not new_fingerprint")
    holder = uuid4()
    async with context.database.begin() as transaction:
        vault = await managed_vault(transaction, caller, vault_id)
        await repository.interrupt_silent(transaction, vault_id)
        row = await repository.unfinished(transaction, vault_id)
        if row is not None:
            if (row["old_fingerprint"], row["new_fingerprint"]) != (keys.old.fingerprint, keys.new.fingerprint):
                raise conflict("A rotation between other keys is unfinished; repeat it with its keys first")
            if row["status"] == "running":
                return shown(row)
            left = await _count(transaction, vault_id, keys)
            row = await repository.take_up(transaction, row, holder, left)
        elif vault["cmek_fingerprint"] == keys.old.fingerprint:
            await require_tier(transaction, caller)
            row = await _begin(transaction, caller, vault_id, keys, holder)
        else:
            return shown(await _done_before(transaction, vault, keys))
        await write_for(
            transaction,
            caller,
            "vault.rotate_cmek",
            "vault",
            vault_id,
            job_id=str(row["id"]),
            old_fingerprint=keys.old.fingerprint,
            new_fingerprint=keys.new.fingerprint,
        )
    # only now is the job there for others to see
    job = Job(row["id"], vault_id, caller.org_id, holder)
    context.rotations.start(reencrypt(context.database, context.signer, job, keys))
    return shown(row)


async def show_job(context: Context, caller: Caller, vault_id: UUID, job_id: UUID) -> CmekRotationJobResponse:
    """One rotation; says `interrupted` when nothing was heard of it for too long."""
    async with context.database.begin() as transaction:
        (await load_access(transaction, caller, vault_id)).require_manager()
        await repository.interrupt_silent(transaction, vault_id)
        row = await repository.get(transaction, vault_id, job_id)
    if row is None:
        raise not_found("No such rotation")
    return shown(row)


async def _begin(transaction: AsyncConnection, caller: Caller, vault_id: UUID, keys: KeyPair, holder: UUID) -> Row:
    if keys.old.fingerprint == keys.new.fingerprint:
        raise bad_request(f"{NEW_HEADER}: is the old key")
    return await repository.add(
        transaction,
        {
            "id": uuid4(),
            "vault_id": vault_id,
            "old_fingerprint": keys.old.fingerprint,
            "new_fingerprint": keys.new.fingerprint,
            "total_secrets": await _count(transaction, vault_id, keys),
            "holder": holder,
            "created_by": caller.id,
        },
    )


async def _done_before(transaction: AsyncConnection, vault: Row, keys: KeyPair) -> Row:
    # a request repeated because its answer, or the job's end, was never seen
    if vault["cmek_fingerprint"] == keys.new.fingerprint:
        row = await repository.last_completed(transaction, vault["id"], keys.old.fingerprint, keys.new.fingerprint)
        if row is not None:
            return row
    if vault["cmek_fingerprint"] is None:
        raise bad_request("CMEK is not enabled for this vault")
    raise bad_request(f"{OLD_HEADER}: is not the key that this vault's values are encrypted with")


async def _count(transaction: AsyncConnection, vault_id: UUID, keys: KeyPair) -> int:
    of_old = {"fingerprint": keys.old.fingerprint}
    return await sealed.count(transaction, vault_id, sealed.OF_FINGERPRINT, of_old)
