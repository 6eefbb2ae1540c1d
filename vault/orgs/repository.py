"""Statements about organisations and their members."""

from uuid import UUID, uuid4

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.orgs.models import Membership, Organisation


async def create_organisation(connection: AsyncConnection, name: str) -> UUID:
    """Insert an organisation and return its id."""
    org_id = uuid4()
    await connection.execute(insert(Organisation).values(id=org_id, name=name))
    return org_id


async def add_member(connection: AsyncConnection, org_id: UUID, user_id: UUID, role: str) -> None:
    """Make a user a member (`role`: owner, admin or member); IntegrityError if it is in one already."""
    await connection.execute(insert(Membership).values(org_id=org_id, user_id=user_id, role=role))
