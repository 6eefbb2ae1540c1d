"""Whether the database is of this program's revision, asked before serving, or as soon as it answers.

An API process that waited for its database in silence could not say on /v1/health what is missing; what it serves
meanwhile is that, and 503 for all else. Times in seconds.
"""

import asyncio
from collections.abc import Callable, Coroutine

import structlog
from sqlalchemy.exc import DBAPIError

from talon.migrate import RevisionError, verify_revision

PAUSE_S = 1.0

log = structlog.get_logger(__name__)


class RevisionCheck:
    """Raises RevisionError when made, if the database answers and is another's; else `later` is what finds it out."""

    def __init__(self, url: str, end: Callable[[], None]) -> None:
        self._url, self._end = url, end
        self.failure: RevisionError | None = None
        self.later: tuple[Callable[[], Coroutine[None, None, None]], ...] = ()
        if not asyncio.run(self._answers()):
            self.later = (self._go_on,)

    async def _answers(self) -> bool:
        try:
            await verify_revision(self._url)
        except (DBAPIError, OSError) as error:
            log.warning("the database does not answer yet", error=type(error).__name__)
            return False
        return True

    async def _go_on(self) -> None:
        try:
            answers = False
            while not answers:
                await asyncio.sleep(PAUSE_S)
                answers = await self._answers()
        except RevisionError as error:
            self.failure = error
            self._end()
