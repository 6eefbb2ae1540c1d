"""`talon admin change-email`: another address for an account; the first human's, if nobody is named."""

import asyncio
from typing import Annotated

import typer

from talon.cli.account import account_of
from talon.cli.audited import write_from_host
from talon.cli.database import opened
from talon.cli.outcome import one_sentence
from talon.cli.say import say
from talon.migrate import verify_revision
from talon.settings import Settings
from vault.auth import on_host
from vault.auth.emails import parse_email
from vault.db import Database


def change_email(
    address: Annotated[str, typer.Argument(help="The new address.")],
    email: Annotated[str | None, typer.Option(help="Whose account; the first human's if left out.")] = None,
) -> None:
    """Give an account another address to log in with; its sessions end."""
    with one_sentence(), opened(Settings.from_environment()) as access:
        asyncio.run(_change(access.urls.owner, address, email))


async def _change(url: str, address: str, email: str | None) -> None:
    new = parse_email(address)
    await verify_revision(url)
    database = Database(url, pool_size=1)
    try:
        async with database.begin() as connection:
            account = await account_of(connection, email)
            await on_host.set_email(connection, account, new)
            await write_from_host(connection, "user.change_email", "user", account.id, account.org_id)
    finally:
        await database.close()
    say(f"{account.email} is {new} from now on; every session has ended")
