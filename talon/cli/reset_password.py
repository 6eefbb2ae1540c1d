"""`talon admin reset-password`: a new password for somebody who lost his; the first human, if nobody is named."""

import asyncio
import getpass
import secrets
import sys
from dataclasses import dataclass, field
from typing import Annotated

import typer

from talon.cli.account import account_of
from talon.cli.audited import write_from_host
from talon.cli.database import opened
from talon.cli.outcome import CommandError, one_sentence
from talon.cli.say import say
from talon.migrate import verify_revision
from talon.settings import Settings
from vault.auth import on_host
from vault.auth.password_rule import fault
from vault.auth.passwords import hash_password
from vault.db import Database

TRIES = 3


@dataclass(frozen=True)
class Chosen:
    """A new password, and whether we made it up, so that it has to be shown."""

    password: str = field(repr=False)
    is_ours: bool


def reset_password(
    email: Annotated[str | None, typer.Option(help="Whose account; the first human's if left out.")] = None,
    drop_second_factor: Annotated[
        bool, typer.Option("--drop-second-factor", help="Forget a second factor that is lost as well.")
    ] = False,
) -> None:
    """Set a new password for an account, end its sessions and lift lock-outs. Asks for it on the terminal; without
    one, or for an empty answer, one is made up and shown once."""
    with one_sentence(), opened(Settings.from_environment()) as access:
        asyncio.run(_reset(access.urls.owner, email, drop_second_factor=drop_second_factor))


async def _reset(url: str, email: str | None, *, drop_second_factor: bool) -> None:
    await verify_revision(url)
    database = Database(url, pool_size=1)
    try:
        async with database.begin() as connection:
            address = (await account_of(connection, email)).email
        chosen = choose(address)
        password_hash = await hash_password(chosen.password)
        async with database.begin() as connection:
            account = await account_of(connection, address)
            await on_host.set_password(connection, account, password_hash, drop_second_factor=drop_second_factor)
            await write_from_host(
                connection,
                "user.reset_password",
                "user",
                account.id,
                account.org_id,
                second_factor="dropped" if drop_second_factor and account.has_second_factor else None,
            )
    finally:
        await database.close()
    shown = f", password {chosen.password} (shown once)" if chosen.is_ours else ""
    say(f"{address}: the password is set, every session has ended{shown}")
    if account.has_second_factor and not drop_second_factor:
        say("the second factor is still asked for; if that is lost too: --drop-second-factor")
    if not account.is_live:
        say("warning: the account is switched off, so that nobody can log in to it")


def choose(address: str) -> Chosen:
    """What is typed twice on the terminal, or made up; CommandError when that fails three times."""
    if not sys.stdin.isatty():
        return Chosen(secrets.token_urlsafe(18), is_ours=True)
    for _ in range(TRIES):
        password = getpass.getpass(f"new password of {address} (empty: one is made up): ")
        if not password:
            return Chosen(secrets.token_urlsafe(18), is_ours=True)
        weakness = fault(password)
        if weakness is not None:
            say(weakness)
        elif getpass.getpass("the same again: ") != password:
            say("the two are not the same")
        else:
            return Chosen(password, is_ours=False)
    raise CommandError("nothing was changed")
