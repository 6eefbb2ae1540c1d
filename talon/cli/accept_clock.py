"""`talon admin accept-clock`: a human says that the database's clock is right."""

import asyncio
from datetime import UTC, datetime

from talon.cli.audited import write_from_host
from talon.cli.database import opened
from talon.cli.outcome import CommandError, one_sentence
from talon.cli.say import say
from talon.migrate import verify_revision
from talon.settings import Settings
from vault.clock import store
from vault.clock.rule import take
from vault.db import Database

# the worker writes the same row every few seconds
TRIES = 10


def accept_clock() -> None:
    """Say that the database's clock is right: what it says to be over is over from now on."""
    with one_sentence(), opened(Settings.from_environment()) as access:
        say(asyncio.run(_accept(access.urls.owner)))


async def _accept(url: str) -> str:
    await verify_revision(url)
    database = Database(url, pool_size=1)
    try:
        for _ in range(TRIES):
            async with database.begin() as connection:
                look = await store.read(connection)
                kept = take(look.kept, look.seen, "human")
                if await store.write(connection, look, kept, None, durable=True):
                    at = datetime.fromtimestamp(look.seen.at, UTC).isoformat(" ", "seconds")
                    was = None if look.kept.doubt is None else look.why
                    await write_from_host(connection, "clock.accept", "clock", "database", clock=at, doubt=was)
                    return f"{at} is believed from here on; the clock was {'not ' * (was is None)}in doubt."
    finally:
        await database.close()
    raise CommandError("the worker wrote at the same moment each time; try again")
