"""What is true and worth saying while the main job goes on: each source is asked on one connection, for a moment."""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.db import Database

# sentences that anybody may read: they name no organisation, person or agent
NoteSource = Callable[[AsyncConnection], Awaitable[Sequence[str]]]

log = structlog.get_logger(__name__)


async def read_notes(database: Database, sources: Sequence[NoteSource]) -> tuple[str, ...]:
    """All that the sources have to say now; one that fails says so and spares the others."""
    found: list[str] = []
    for source in sources:
        try:
            # a transaction each: one that failed would take those behind it along
            async with database.begin() as connection:
                found += await source(connection)
        except (SQLAlchemyError, OSError) as error:
            log.warning("a note for health not to be had", source=source.__name__, error=type(error).__name__)
    return tuple(found)
