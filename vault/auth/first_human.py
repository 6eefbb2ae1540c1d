"""The installation's first human: made once, on the first start, and known from then on by being the first.

Who that is does not hang on an address: a start that names another makes no second administrator.
"""

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth import accounts
from vault.auth.emails import parse_email
from vault.auth.models import User
from vault.auth.password_rule import MAX_BYTES
from vault.auth.passwords import hash_password
from vault.auth.service import create_owner
from vault.columns import AnyRow
from vault.db import Database
from vault.errors import bad_request

# of two programs that start at once on one database, one makes the first human
_ONE_AT_A_TIME = text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")


async def find(connection: AsyncConnection) -> AnyRow | None:
    """The account of the platform's first administrator who is still there; None before the first start."""
    oldest = select(User.id).where(User.is_platform_admin, User.deleted_at.is_(None))
    user_id = (await connection.execute(oldest.order_by(User.created_at, User.id).limit(1))).scalar_one_or_none()
    return None if user_id is None else await accounts.find_by_id(connection, user_id)


async def create(database: Database, email: str, password: str) -> bool:
    """Make the first human: verified, owner of an organisation, platform admin.

    Returns False, and changes nothing, if there is one already. Problem 400 for a malformed address or an empty
    password (the operator's choice is not held to the signup rule).
    """
    address = parse_email(email)
    if not password or len(password.encode()) > MAX_BYTES:
        raise bad_request(f"The password must have 1 to {MAX_BYTES} bytes")
    async with database.begin() as connection:
        if await find(connection) is not None:
            return False
    password_hash = await hash_password(password)
    async with database.begin() as connection:
        await connection.execute(_ONE_AT_A_TIME)
        if await find(connection) is not None:
            return False
        created = await create_owner(
            connection,
            email=address,
            password_hash=password_hash,
            display_name="",
            ip_address=None,
            is_platform_admin=True,
        )
        return created is not None
