"""The organisation's vault of its agents' identity keys: made with the first agent, nobody's own.

Its `created_by_type` is `system`, so that no principal has a creator's access to it: only policies open it, which
people can see and take back. It is known by `is_system`, never by its name.
"""

from typing import cast
from uuid import UUID, uuid4

from sqlalchemy import Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from signer.client import SignerClient
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.errors import conflict
from vault.vaults.models import SYSTEM_NAME, Vault

SYSTEM = "system"

_TABLE = cast(Table, Vault.__table__)


async def find(connection: AsyncConnection, org_id: UUID) -> UUID | None:
    """The organisation's agent-keys vault, if it has one yet."""
    query = select(_TABLE.c.id).where(
        _TABLE.c.org_id == org_id,
        _TABLE.c.name == SYSTEM_NAME,
        _TABLE.c.is_system,
        _TABLE.c.deleted_at.is_(None),
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def ensure(connection: AsyncConnection, signer: SignerClient, caller: Caller) -> UUID:
    """The organisation's agent-keys vault, made now if need be; two first agents at once make one."""
    vault_id = await find(connection, caller.org_id)
    if vault_id is not None:
        return vault_id
    made = insert(_TABLE).values(
        id=uuid4(),
        org_id=caller.org_id,
        name=SYSTEM_NAME,
        description="The identity keys of this organisation's agents",
        created_by=caller.id,
        created_by_type=SYSTEM,
        is_system=True,
    )
    # waits for a concurrent first agent, and then finds its vault
    made = made.on_conflict_do_nothing(
        index_elements=[_TABLE.c.org_id, _TABLE.c.name], index_where=_TABLE.c.deleted_at.is_(None)
    )
    made_id: UUID | None = (await connection.execute(made.returning(_TABLE.c.id))).scalar_one_or_none()
    if made_id is None:
        vault_id = await find(connection, caller.org_id)
        if vault_id is None:
            raise conflict(f"A vault of your own has the reserved name {SYSTEM_NAME}; delete it first")
        return vault_id
    # after the insert: whoever lost the race must not leave a key behind; before the commit: no vault without one
    await signer.create_vault_key(made_id)
    await write_for(connection, caller, "vault.create", "vault", made_id, name=SYSTEM_NAME)
    return made_id
