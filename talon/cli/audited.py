"""What is done on the host has no caller: it is written into the audit log of those who administer the platform."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write

_ORGANISATIONS = text("""
    SELECT DISTINCT m.org_id FROM users u JOIN memberships m ON m.user_id = u.id
    WHERE u.is_platform_admin AND u.deleted_at IS NULL
""")


async def write_from_host(
    connection: AsyncConnection,
    action: str,
    resource_type: str,
    resource_id: UUID | str,
    concerned: UUID | None = None,
    **details: str | bool | None,
) -> None:
    """Insert one event into each of these organisations' logs, in the transaction that has the effect; also into that
    of an organisation that is `concerned`."""
    organisations: set[UUID] = set((await connection.execute(_ORGANISATIONS)).scalars())
    if concerned is not None:
        organisations.add(concerned)
    for org_id in sorted(organisations, key=str):
        await write(
            connection,
            org_id=org_id,
            actor_type="system",
            actor_id="host",
            action=action,
            resource_type=resource_type,
            resource_id=resource_id,
            details=details,
        )
