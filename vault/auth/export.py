"""Everything we hold about a person, for the person (GDPR, Art. 20): no value, no hash, no key."""

from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.agents.models import Agent
from vault.audit.write import write_for
from vault.auth import accounts
from vault.auth.caller import Caller
from vault.auth.profile_schemas import ExportReply
from vault.columns import AnyRow
from vault.context import Context
from vault.policies.models import Policy
from vault.secrets.models import Secret, SecretVersion
from vault.vaults.models import Vault

# of each list: one answer stays within what a client can hold
MAX_ROWS = 5_000


async def export(context: Context, caller: Caller) -> ExportReply:
    """The person's account, the vaults and agents they made, the secrets' metadata and policies in those vaults."""
    lists: dict[str, list[AnyRow]] = {}
    async with context.database.begin() as connection:
        profile = await accounts.profile(connection, caller.id)
        now = (await connection.execute(select(func.now()))).scalar_one()
        for name, statement in _statements(caller).items():
            lists[name] = await _rows(connection, statement)
        truncated = [name for name, rows in lists.items() if len(rows) > MAX_ROWS]
        counts = {name: min(len(rows), MAX_ROWS) for name, rows in lists.items()}
        await write_for(connection, caller, "user.export", "user", caller.id, **counts)
    told = profile._asdict()
    user = {name: told[name] for name in ("id", "email", "display_name", "auth_method", "created_at")}
    parts = {name: [row._asdict() for row in rows[:MAX_ROWS]] for name, rows in lists.items()}
    return ExportReply.model_validate({"exported_at": now, "user": user, "truncated": truncated or None, **parts})


def _statements(caller: Caller) -> dict[str, Select[*tuple[Any, ...]]]:
    my_vaults = and_(
        Vault.org_id == caller.org_id,
        Vault.created_by == caller.id,
        Vault.created_by_type == "user",
        Vault.deleted_at.is_(None),
    )
    return {
        "vaults": select(Vault.id, Vault.name, Vault.created_at)
        .where(my_vaults)
        .order_by(Vault.created_at, Vault.id),
        "agents": select(Agent.id, Agent.name, Agent.created_at)
        .where(Agent.org_id == caller.org_id, Agent.created_by == caller.id, Agent.deleted_at.is_(None))
        .order_by(Agent.created_at, Agent.id),
        "secrets_metadata": select(
            Secret.vault_id, Secret.path, SecretVersion.type, SecretVersion.version, SecretVersion.created_at
        )
        .join(Vault, Vault.id == Secret.vault_id)
        .join(
            SecretVersion,
            and_(SecretVersion.secret_id == Secret.id, SecretVersion.version == Secret.latest_version),
        )
        .where(my_vaults, Secret.deleted_at.is_(None))
        .order_by(Secret.vault_id, Secret.path),
        "policies": select(
            Policy.id,
            Policy.vault_id,
            Policy.principal_type,
            Policy.principal_id,
            Policy.secret_path_pattern,
            Policy.permissions,
            Policy.created_at,
        )
        .join(Vault, Vault.id == Policy.vault_id)
        .where(
            Vault.org_id == caller.org_id,
            Vault.deleted_at.is_(None),
            or_(my_vaults, and_(Policy.principal_type == "user", Policy.principal_id == caller.id)),
        )
        .order_by(Policy.created_at, Policy.id),
    }


async def _rows(connection: AsyncConnection, statement: Select[*tuple[Any, ...]]) -> list[AnyRow]:
    # one more than is shown: whether there are more
    return list((await connection.execute(statement.limit(MAX_ROWS + 1))).all())
