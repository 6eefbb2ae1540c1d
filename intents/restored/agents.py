"""Which agents may use a wallet, so that what was paid from it counts for each of them.

Generously: an agent that is bound to the key, has signed with it, made its vault, or has a policy there that covers
the path, whatever the policy's conditions, its end and the agent's own binding to vaults say now. Which of them paid
is not known, and what was changed after this copy was made neither.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.policies.glob import matches

_KEYS = """
    SELECT DISTINCT s.id AS secret_id, s.path, v.id AS vault_id, v.created_by, v.created_by_type
    FROM secret_versions k JOIN secrets s ON s.id = k.secret_id JOIN vaults v ON v.id = s.vault_id
    WHERE k.address = :address AND k.key_id IS NOT NULL
"""
_CERTAIN = text(f"""
    WITH keys AS ({_KEYS})
    SELECT b.agent_id FROM agent_signing_keys b JOIN keys USING (secret_id)
    UNION SELECT keys.created_by FROM keys WHERE keys.created_by_type = 'agent'
    UNION SELECT t.agent_id FROM transactions t WHERE t.chain_id = :chain_id AND t.wallet_address = :address
""")  # noqa: S608 - put together from constants of this file
_POLICIES = text(f"""
    WITH keys AS ({_KEYS})
    SELECT DISTINCT p.principal_id, p.secret_path_pattern, keys.path
    FROM policies p JOIN keys ON keys.vault_id = p.vault_id
    WHERE p.principal_type = 'agent' AND 'read' = ANY(p.permissions)
""")  # noqa: S608 - as above


async def users_of(connection: AsyncConnection, chain_id: int, address: bytes) -> list[UUID]:
    """The agents that may use this wallet, in one order."""
    named = {"chain_id": chain_id, "address": address}
    found = set((await connection.execute(_CERTAIN, named)).scalars())
    for row in await connection.execute(_POLICIES, {"address": address}):
        if matches(row.secret_path_pattern, row.path):
            found.add(row.principal_id)
    return sorted(found)
