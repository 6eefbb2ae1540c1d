"""Create, show, list and delete vaults."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.exc import IntegrityError

from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import bad_request, conflict, forbidden, not_found
from vault.orgs.belonging import require_belonging
from vault.orgs.tiers import require_room
from vault.policies import repository as policies
from vault.policies.access import load_access, load_access_again
from vault.schemas import Page
from vault.secrets import reach
from vault.secrets import repository as secrets
from vault.secrets.confirm import with_word
from vault.vaults import repository
from vault.vaults.models import RESERVED_PREFIX
from vault.vaults.schemas import MAX_NAME_LENGTH, CreateVaultRequest, VaultResponse


async def create_vault(context: Context, caller: Caller, body: CreateVaultRequest) -> VaultResponse:
    """Make a vault with a key of its own behind the HSM; 400 for a bad name, 409 for one in use.

    The human who makes it, or who made the agent that does, gets a policy on everything in it, visible and revocable
    like any other.
    """
    name = checked_name(body.name)
    if body.mpc_custody is not None:
        raise bad_request("mpc_custody: not supported; this vault's keys are held by the HSM")
    vault_id = uuid4()
    try:
        async with context.database.begin() as transaction:
            await require_belonging(transaction, caller)
            await require_room(transaction, caller.org_id, "vaults")
            row = await repository.create(
                transaction,
                {
                    "id": vault_id,
                    "org_id": caller.org_id,
                    "name": name,
                    "description": body.description,
                    "created_by": caller.id,
                    "created_by_type": caller.kind,
                },
            )
            # after the insert: a name in use must not leave a key behind; before the commit: no vault without one
            await context.signer.create_vault_key(vault_id)
            await write_for(transaction, caller, "vault.create", "vault", vault_id, name=name)
            await policies.share_new_vault(transaction, caller, vault_id)
    except IntegrityError as error:
        if "uq_vaults_org_id_name" in str(error.orig):
            raise conflict(f"A vault named {name!r} exists already") from None
        raise
    return shown(row)


def checked_name(text: str) -> str:
    """The name without blanks around it; 400 for one that a vault cannot have."""
    name = text.strip()
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise bad_request(f"name: a vault's name has 1 to {MAX_NAME_LENGTH} characters")
    if name.startswith(RESERVED_PREFIX):
        raise bad_request(f"name: names that begin with {RESERVED_PREFIX} are reserved for the system's own vaults")
    return name


async def list_vaults(context: Context, caller: Caller, *, page: Page) -> list[VaultResponse]:
    """A page: people see every vault of their organisation, agents what they made or have a policy on."""
    async with context.database.begin() as transaction:
        if caller.is_agent:
            rows = await repository.page_of_agent(transaction, caller, page)
        else:
            rows = await repository.page_of_org(transaction, caller.org_id, page)
    return [shown(row) for row in rows]


async def get_vault(context: Context, caller: Caller, vault_id: UUID) -> VaultResponse:
    """One vault; 404 when unknown or another organisation's, 403 for an agent without a policy on it."""
    async with context.database.begin() as transaction:
        (await load_access(transaction, caller, vault_id)).require_visible()
        row = await repository.get(transaction, vault_id)
    if row is None:
        raise not_found("Vault not found")
    return shown(row)


async def delete_vault(context: Context, caller: Caller, vault_id: UUID, *, confirm: str | None = None) -> None:
    """Delete a vault: its secrets cannot be read, its keys sign nothing any more, its name is free again.

    403 for an agent where a signing key lies in it; 409 `confirmation_required` where one holds coin.
    """

    async def attempt(cleared: frozenset[bytes]) -> None:
        async with context.database.begin() as transaction:
            access = await load_access(transaction, caller, vault_id)
            access.require_manager()
            if await repository.is_system(transaction, vault_id):
                raise forbidden("This vault holds the identity keys of your agents and cannot be deleted")
            # nothing is written into it from here on
            if await repository.lock(transaction, vault_id) is None:
                raise not_found("Vault not found")
            # once more: what ended the caller's rights while this waited counts
            (await load_access_again(transaction, caller, vault_id)).require_manager()
            keys = await secrets.key_addresses(transaction, vault_id)
            reach.spare(caller, keys, "in this vault")
            reach.require_cleared(keys, cleared)
            await repository.remove(transaction, vault_id, caller.id)
            await write_for(
                transaction, caller, "vault.delete", "vault", vault_id, name=access.name, addresses=len(keys)
            )

    await with_word(context, confirm, "number", attempt)


def shown(row: Any) -> VaultResponse:
    """A row as the wire shows it."""
    return VaultResponse(
        id=str(row["id"]),
        name=row["name"],
        description=row["description"],
        created_by=str(row["created_by"]),
        created_by_type=row["created_by_type"],
        created_at=row["created_at"],
        cmek_enabled=True if row["cmek_fingerprint"] is not None else None,
        cmek_fingerprint=row["cmek_fingerprint"],
    )
