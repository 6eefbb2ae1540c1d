"""What /v1/health says of a restored copy."""

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.restores import gate


async def restore_note(connection: AsyncConnection) -> tuple[str, ...]:
    """One sentence while nothing is signed; never why in detail, which may name an address or a place."""
    if await gate.find(connection) is None:
        return ()
    return ("Frozen: this copy of the database is older than what was signed; its administrator opens it.",)
