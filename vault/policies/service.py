"""Create, list, change and revoke policies. Every change counts from its commit on, for tokens already issued too."""

from uuid import UUID, uuid4

from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import bad_request, not_found
from vault.policies import repository
from vault.policies.access import load_access
from vault.policies.repository import Row
from vault.policies.schemas import CreatePolicyRequest, PolicyResponse, UpdatePolicyRequest
from vault.schemas import Page


async def create_policy(
    context: Context, caller: Caller, vault_id: UUID, body: CreatePolicyRequest
) -> PolicyResponse:
    """Grant; 403 unless the caller manages the vault, 400 for a principal outside the organisation."""
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require_manager()
        if not await repository.principal_exists(transaction, caller.org_id, body.principal_type, body.principal_id):
            raise bad_request(f"principal_id: there is no {body.principal_type} with this id")
        row = await repository.create(
            transaction,
            {
                "id": uuid4(),
                "vault_id": vault_id,
                "secret_path_pattern": body.secret_path_pattern,
                "principal_type": body.principal_type,
                "principal_id": body.principal_id,
                "permissions": list(dict.fromkeys(body.permissions)),
                "conditions": body.conditions,
                "expires_at": body.expires_at,
                "created_by": caller.id,
                "created_by_type": caller.kind,
            },
        )
        await repository.write_change(transaction, caller, "policy.create", row)
    return shown(row)


async def list_policies(context: Context, caller: Caller, vault_id: UUID, *, page: Page) -> list[PolicyResponse]:
    """A page: whoever manages the vault sees all its policies, everybody else those that speak of him."""
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require_visible()
        only = None if access.manages else caller
        rows = await repository.listed(transaction, vault_id, only=only, page=page)
    return [shown(row) for row in rows]


async def update_policy(
    context: Context, caller: Caller, vault_id: UUID, policy_id: UUID, body: UpdatePolicyRequest
) -> PolicyResponse:
    """Change permissions, conditions and expiry; 403 unless the caller manages the vault, 404 when unknown."""
    changes = body.changes()
    if "permissions" in changes:
        changes["permissions"] = list(dict.fromkeys(changes["permissions"]))
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require_manager()
        row = await repository.change(transaction, vault_id, policy_id, changes)
        if row is None:
            raise not_found("Policy not found")
        if changes:
            await repository.write_change(transaction, caller, "policy.update", row)
    return shown(row)


async def delete_policy(context: Context, caller: Caller, vault_id: UUID, policy_id: UUID) -> None:
    """Revoke; 403 unless the caller manages the vault, 404 when unknown."""
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require_manager()
        row = await repository.remove(transaction, vault_id, policy_id)
        if row is None:
            raise not_found("Policy not found")
        await repository.write_change(transaction, caller, "policy.delete", row)


def shown(row: Row) -> PolicyResponse:
    """A row as the wire shows it."""
    return PolicyResponse(
        id=str(row["id"]),
        vault_id=str(row["vault_id"]),
        secret_path_pattern=row["secret_path_pattern"],
        principal_type=row["principal_type"],
        principal_id=str(row["principal_id"]),
        permissions=list(row["permissions"]),
        conditions=row["conditions"],
        expires_at=row["expires_at"],
        created_by=str(row["created_by"]),
        created_by_type=row["created_by_type"],
        created_at=row["created_at"],
    )
