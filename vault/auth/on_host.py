"""What somebody on the host does with an account whose person cannot: another password, another address."""

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth import accounts, places, second_factor
from vault.auth.models import Lockout, User
from vault.columns import AnyRow
from vault.errors import conflict


async def set_password(
    connection: AsyncConnection, account: AnyRow, password_hash: str, *, drop_second_factor: bool
) -> None:
    """Set it, also where there was none, and end every token, session and known place; personal API keys go on.

    Every lock-out ends, everybody's: the table does not tell whose they are.
    """
    await connection.execute(
        update(User)
        .where(User.id == account.id)
        .values(password_hash=password_hash, token_version=User.token_version + 1)
    )
    await _end_what_hangs_on_it(connection, account)
    if drop_second_factor:
        await second_factor.remove(connection, account.id)
    await connection.execute(delete(Lockout))


async def set_email(connection: AsyncConnection, account: AnyRow, address: str) -> None:
    """Give an account another (stored form of an) address; Problem 409 when somebody has it.

    Sessions end, and with them what was mailed to the old address.
    """
    await _end_what_hangs_on_it(connection, account)
    try:
        async with connection.begin_nested():
            await connection.execute(
                update(User).where(User.id == account.id).values(email=address, token_version=User.token_version + 1)
            )
    except IntegrityError:
        raise conflict("Another account has this address") from None


async def _end_what_hangs_on_it(connection: AsyncConnection, account: AnyRow) -> None:
    await accounts.end_logins(connection, account.id)
    await places.forget_all(connection, account.id)
