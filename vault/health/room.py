"""Whether the database's disk has room, found out by having the server sort more than it may keep in memory.

A supervisor sees the disk of its own home only, and an external database's is elsewhere. What a sort puts aside lies
where new pages of tables do, needs no privilege, also not to write, and is gone when the statement ends. A full disk
of the server's log needs no look: it ends the server. Times in seconds.
"""

import time

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from signer.refusals import refusal
from vault.db import Database
from vault.trouble import sqlstate

EVERY_S = 5.0
# the least that a server takes for it, so that most of a megabyte is put aside
_LITTLE = text("SET LOCAL work_mem = '64kB'")
_THERE = text("SET LOCAL temp_tablespaces = ''")
_SORT = text("SELECT count(*) FROM (SELECT n FROM generate_series(1, 30000) n ORDER BY n DESC) sorted")
# what a server says of its files: full, a fault of the disk, no right (a read-only file system), whatever it has no
# code for
_OF_FILES = {"58030", "42501", "XX000"}


class Room:
    """What one process found last, at most `EVERY_S` old."""

    def __init__(self) -> None:
        self._refused: str | None = None
        self._looked_at = float("-inf")

    async def refused(self, database: Database) -> str | None:
        """Why tables cannot grow, in a sentence without its full stop; None while they can.

        SQLAlchemyError or OSError where that cannot be found out.
        """
        if time.monotonic() - self._looked_at > EVERY_S:
            self._refused = await _look(database)
            self._looked_at = time.monotonic()
        return self._refused


async def _look(database: Database) -> str | None:
    try:
        async with database.begin() as connection:
            for statement in (_LITTLE, _THERE, _SORT):
                await connection.execute(statement)
    except DBAPIError as error:
        state = sqlstate(error)
        if (refused := refusal(state, str(error.orig))) is not None:
            return refused
        if state in _OF_FILES:
            return "The database's disk takes no writes"
        if state == "53400":
            # the operator allows less than that (temp_file_limit)
            return None
        raise
    return None
