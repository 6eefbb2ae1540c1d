"""Housekeeping of the counters in PostgreSQL."""

from sqlalchemy import text

from vault.db import Database

BATCH = 1_000
MAX_BATCHES = 20

_DELETE = text("""
    DELETE FROM rate_counters WHERE key IN (
        SELECT key FROM rate_counters WHERE expires_at < clock_timestamp()
        ORDER BY expires_at LIMIT :batch FOR UPDATE SKIP LOCKED
    )
""")


async def purge(database: Database) -> int:
    """Remove counters of windows long over, in short batches; returns how many. The rest waits for the next call."""
    removed = 0
    for _ in range(MAX_BATCHES):
        async with database.statements() as connection:
            count = (await connection.execute(_DELETE, {"batch": BATCH})).rowcount
        removed += count
        if count < BATCH:
            break
    return removed
