"""Whose a wallet is, and who is told of it."""

from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MAX_ORGS: Final = 1_000
MAX_PEOPLE: Final = 100

_ORGS = text("""
    SELECT DISTINCT v.org_id FROM secret_versions k
    JOIN secrets s ON s.id = k.secret_id JOIN vaults v ON v.id = s.vault_id
    WHERE k.address = :address AND k.key_id IS NOT NULL ORDER BY v.org_id LIMIT :most
""")
_MAILS = text("""
    SELECT u.email FROM memberships m JOIN users u ON u.id = m.user_id
    WHERE m.org_id = ANY(:orgs) AND m.role IN ('owner', 'admin') AND u.is_active
    ORDER BY u.email LIMIT :most
""")


async def holders(connection: AsyncConnection, address: bytes) -> list[UUID]:
    """The organisations that hold the key of an account, in one order."""
    return list((await connection.execute(_ORGS, {"address": address, "most": MAX_ORGS})).scalars())


async def mails_of(connection: AsyncConnection, orgs: list[UUID]) -> list[str]:
    """The e-mail addresses of these organisations' owners and admins."""
    return list((await connection.execute(_MAILS, {"orgs": orgs, "most": MAX_PEOPLE})).scalars())
