"""The one database: engine, metadata, transactions.

PostgreSQL is the source of truth for everything. Lock, statement and idle-in-transaction timeouts are set on
every connection so that no wait is unbounded (`vault.bounded` bounds those for a server that does nothing at all);
they surface as `OperationalError`, which `vault.problems` turns into 503 with Retry-After.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from vault.bounded import bounded, leave_stale

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# of an API process
SHARED = 10
# of a process and for each of the three purposes below; that of a stop is one more than the two that wait for long
CONNECTIONS_APART = 3

metadata = MetaData(naming_convention=NAMING)


class Base(DeclarativeBase):
    """Every table of vault and intents hangs on this metadata; the signer has one of its own."""

    metadata = metadata


class Database:
    """One connection pool for the process; `begin()` and `session()` each are one transaction.

    `url` is a SQLAlchemy URL (`postgresql+psycopg://…`). Timeouts in milliseconds.
    """

    def __init__(
        self, url: str, *, pool_size: int = SHARED, statement_timeout_ms: int = 10_000, lock_timeout_ms: int = 5_000
    ) -> None:
        options = (
            f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={lock_timeout_ms}"
            " -c idle_in_transaction_session_timeout=15000 -c timezone=UTC"
        )
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=False,
            hide_parameters=True,  # an error's text must not quote a row: hashes, sealed values, mails
            connect_args={
                "options": options,
                "connect_timeout": 5,
                "application_name": "talon",
                "async_creator_fn": bounded(statement_timeout_ms / 1000),
            },
        )

        leave_stale(self.engine)
        self._made_with = (url, statement_timeout_ms, lock_timeout_ms)
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @cached_property
    def logins(self) -> "Database":
        """For getting in: agents whose submissions wait for one another may hold every connection of the others'."""
        return self._apart()

    @cached_property
    def people(self) -> "Database":
        """For saying who a person is: those who try to get in must not hold up those who are in."""
        return self._apart()

    @cached_property
    def stops(self) -> "Database":
        """For freezes: one that waits for signatures under way must not keep others from getting in."""
        return self._apart()

    def _apart(self) -> "Database":
        url, statement_timeout_ms, lock_timeout_ms = self._made_with
        return Database(
            url,
            pool_size=CONNECTIONS_APART,
            statement_timeout_ms=statement_timeout_ms,
            lock_timeout_ms=lock_timeout_ms,
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """One transaction on a Core connection: committed at the end of the block, rolled back on an error."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def statements(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement stands by itself: for reads, and for writes of one statement.

        Saves BEGIN and COMMIT, which is half of a short request's talk with the database.
        """
        async with self._autocommit.connect() as connection:
            yield connection

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction through the ORM: committed at the end of the block, rolled back on an error."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    async def close(self) -> None:
        """Return every connection."""
        await self.engine.dispose()
        for name in ("logins", "people", "stops"):
            if name in vars(self):
                await vars(self)[name].close()
