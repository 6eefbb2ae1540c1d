"""Counters of the limits library in PostgreSQL, for several processes that share it. One statement per hit.

The database's clock decides, so that processes on several machines agree. The table is not logged: after a crash of
the server it is empty.
"""

from typing import Any

from limits.aio.storage import SlidingWindowCounterSupport, Storage
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from vault.columns import AnyRow
from vault.db import Database

# a window's number is part of its key; the share is how much of the window before still counts
_WINDOWS = """
    WITH clock AS MATERIALIZED (
        SELECT extract(epoch FROM clock_timestamp())::float8 / CAST(:expiry AS float8) AS now
    ), windows AS MATERIALIZED (
        SELECT now, 1 - (now - floor(now)) AS share,
               CAST(:key AS text) || '/' || floor(now)::bigint AS current_key,
               COALESCE((SELECT count FROM rate_counters
                         WHERE key = CAST(:key AS text) || '/' || (floor(now)::bigint - 1)), 0) AS previous
        FROM clock
    )
"""

_ACQUIRE = text(f"""{_WINDOWS}
    INSERT INTO rate_counters AS counter (key, count, expires_at)
    SELECT current_key, CAST(:amount AS integer), to_timestamp((now + 2) * :expiry) FROM windows
    WHERE floor(previous * share) + :amount <= :limit
    ON CONFLICT (key) DO UPDATE SET count = counter.count + excluded.count
    WHERE (SELECT floor(previous * share + counter.count) FROM windows) + excluded.count <= :limit
    RETURNING count AS hits
""")  # noqa: S608 - made of constants

_WINDOW = text(f"""{_WINDOWS}
    SELECT previous, share,
           COALESCE((SELECT count FROM rate_counters WHERE key = current_key), 0) AS current
    FROM windows
""")  # noqa: S608 - made of constants

# bounded, so that refused hits never run over the column; a window that ends later than one from now is of a clock
# that was stepped back since
_INCREASE = text("""
    INSERT INTO rate_counters AS counter (key, count, expires_at)
    VALUES (:key, :amount, clock_timestamp() + make_interval(secs => :expiry))
    ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN counter.expires_at BETWEEN clock_timestamp() AND excluded.expires_at
                     THEN LEAST(counter.count, 1000000000) + excluded.count ELSE excluded.count END,
        expires_at = CASE WHEN counter.expires_at BETWEEN clock_timestamp() AND excluded.expires_at
                          THEN counter.expires_at ELSE excluded.expires_at END
    RETURNING count AS hits
""")

_READ = text("""
    SELECT count AS hits, extract(epoch FROM expires_at)::float8 AS expires FROM rate_counters
    WHERE key = :key AND expires_at > clock_timestamp()
""")

_CLEAR = text("DELETE FROM rate_counters WHERE key = :key OR starts_with(key, :key || '/')")


class PostgresStorage(Storage, SlidingWindowCounterSupport):
    """What the fixed-window and sliding-window strategies of the library need of a storage. Times in seconds."""

    STORAGE_SCHEME = None

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What the database may raise."""
        return SQLAlchemyError

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count it, unless that would be over the limit."""
        values = {"key": key, "limit": limit, "expiry": expiry, "amount": amount}
        return await self._row(_ACQUIRE, **values) is not None

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Count and remaining life of the window before, and of this one."""
        row = await self._row(_WINDOW, key=key, expiry=expiry)
        assert row is not None
        remaining = row.share * expiry
        return row.previous, remaining if row.previous else 0.0, row.current, remaining + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget both windows."""
        await self.clear(key)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count it and say how many there were since the window opened."""
        row = await self._row(_INCREASE, key=key, expiry=expiry, amount=amount)
        assert row is not None
        return int(row.hits)

    async def get(self, key: str) -> int:
        """How many there were since the window opened."""
        row = await self._row(_READ, key=key)
        return int(row.hits) if row is not None else 0

    async def get_expiry(self, key: str) -> float:
        """When the window closes, as Unix time; the past when there is none."""
        row = await self._row(_READ, key=key)
        return float(row.expires) if row is not None else 0.0

    async def check(self) -> bool:
        """Whether the database answers."""
        return await self._row(text("SELECT 1 AS hits")) is not None

    async def reset(self) -> int | None:
        """Forget everything."""
        async with self._database.statements() as connection:
            return (await connection.execute(text("DELETE FROM rate_counters"))).rowcount

    async def clear(self, key: str) -> None:
        """Forget one counter."""
        async with self._database.statements() as connection:
            await connection.execute(_CLEAR, {"key": key})

    async def _row(self, statement: Any, **values: Any) -> AnyRow | None:
        async with self._database.statements() as connection:
            return (await connection.execute(statement, values)).one_or_none()
