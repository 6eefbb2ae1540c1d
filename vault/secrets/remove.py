"""Delete a secret, softly."""

from uuid import UUID

from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.policies.access import load_access, load_access_again
from vault.secrets import absent, reach, repository
from vault.secrets.confirm import with_word
from vault.secrets.paths import check_path


async def delete_secret(
    context: Context, caller: Caller, vault_id: UUID, path: str, *, confirm: str | None = None
) -> None:
    """Delete all versions (softly); a signing key at the path is not found for signing any more.

    403 for an agent where a signing key lies; 409 `confirmation_required` for one that holds coin.
    """
    check_path(path)

    async def attempt(cleared: frozenset[bytes]) -> None:
        async with context.database.begin() as transaction:
            (await load_access(transaction, caller, vault_id)).require(path, "write")
            there = await repository.lock(transaction, vault_id, path)
            # once more: a policy may have been taken back while this waited for another writer
            (await load_access_again(transaction, caller, vault_id)).require(path, "write")
            # as for everything else: what is deleted is not there to be deleted
            if there is None or there["deleted_at"] is not None:
                raise absent.missing(path)
            keys = await repository.key_addresses(transaction, vault_id, path)
            reach.spare(caller, keys, f"at {path}")
            reach.require_cleared(keys, cleared)
            await repository.remove(transaction, there["id"], caller.id)
            await write_for(
                transaction, caller, "secret.delete", "secret", there["id"], vault_id=str(vault_id), path=path
            )

    await with_word(context, confirm, "address", attempt)
