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
    connection: AsyncConnection, action: str, resource_type: str, resource_id: UUID | str, **details: str | None
) -> None:
    """Insert one event into each of these organisations' logs, in the transaction that has the effect."""
    for org_id in (await connection.execute(_ORGANISATIONS)).scalars().all():
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
