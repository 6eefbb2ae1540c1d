"""A connection to the database that waits for no answer for ever.

The server bounds its own work (`statement_timeout`). One that is there and does nothing (stopped, hanging in its
disk, behind a network that swallows everything) bounds nothing, and says nothing. Times in seconds.
"""

import select
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from sqlalchemy import event, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

# what an answer may take beyond the work that the server allows itself
SLACK_S = 2.0

RV = TypeVar("RV")


class Silent(psycopg.OperationalError):
    """The database did not answer in time; whether what was asked took effect is not known."""


class Bounded(psycopg.AsyncConnection[Any]):
    """Closed for good at the first answer that does not come in time: psycopg.OperationalError."""

    usual_s = 10.0 + SLACK_S
    # of the transaction that is open
    patience_s: float | None = None

    async def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        """Wait for one answer."""
        if self.pgconn.transaction_status == pq.TransactionStatus.IDLE:
            self.patience_s = None
        kwargs["timeout"] = min(kwargs.get("timeout") or float("inf"), self.patience_s or self.usual_s)
        try:
            return await super().wait(gen, *args, **kwargs)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - no other name for it
            # an answer might still come, to whoever asks next
            self.pgconn.finish()
            raise Silent("the database does not answer in time") from None


def leave_stale(engine: AsyncEngine) -> None:
    """Have the pool take no connection that the server has said goodbye on: one may lie there long after a restart.

    There is something to read while nobody asked; to know that costs no word to the server.
    """

    def look(adapted: Any, *_: object) -> None:
        poll = select.poll()
        poll.register(adapted.driver_connection.fileno(), select.POLLIN)
        if poll.poll(0):
            raise InvalidatePoolError

    event.listen(engine.sync_engine, "checkout", look)


def bounded(statement_timeout_s: float) -> Callable[..., Awaitable[Bounded]]:
    """How SQLAlchemy connects (`async_creator_fn`) where the server gives up a statement after that."""

    async def connect(*args: Any, **kwargs: Any) -> Bounded:
        connection = await Bounded.connect(*args, **kwargs)
        connection.usual_s = statement_timeout_s + SLACK_S
        return connection

    return connect


async def be_patient(connection: AsyncConnection, seconds: int) -> None:
    """Let each statement of the transaction that is open take so long."""
    await connection.execute(text(f"SET LOCAL statement_timeout = '{seconds}s'"))
    driver = cast(Bounded, (await connection.get_raw_connection()).driver_connection)
    driver.patience_s = seconds + SLACK_S
