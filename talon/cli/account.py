"""Whose account a command of the host is about."""

from sqlalchemy.ext.asyncio import AsyncConnection

from talon.cli.outcome import CommandError
from vault.auth import accounts, first_human
from vault.auth.emails import parse_email
from vault.columns import AnyRow


async def account_of(connection: AsyncConnection, email: str | None) -> AnyRow:
    """The account of an address, or the first human's; CommandError where there is none."""
    if email is None:
        found = await first_human.find(connection)
        if found is None:
            raise CommandError("there is no first human yet: talon serve makes one")
        return found
    found = await accounts.find_by_email(connection, parse_email(email))
    if found is None:
        raise CommandError("no account has this address")
    return found
