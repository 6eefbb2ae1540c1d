"""Housekeeping of what people leave behind: tokens, challenges, codes, sessions and lock-outs that are over."""

from sqlalchemy import text

from vault.auth.lockout import ACCOUNT_FADES_S
from vault.clock.now import BELIEVED_NOW, LATEST_NOW
from vault.db import Database

BATCH = 1_000
MAX_BATCHES = 20

# what is over, and by which column it is found (each has an index)
_OVER = {
    "email_tokens": ("expires_at", "interval '1 day'"),
    "mfa_challenges": ("expires_at", "interval '1 hour'"),
    "device_codes": ("expires_at", "interval '1 hour'"),
    "web_sessions": ("expires_at", "interval '0'"),
    "known_places": ("expires_at", "interval '0'"),
    "lockouts": ("last_failed_at", f"interval '{ACCOUNT_FADES_S} seconds'"),
    # a mail may hold a token: it is over by then
    "outbox_mails": ("created_at", "interval '30 days'"),
}
_MORE = {
    "outbox_mails": "AND sent_at IS NOT NULL",
    # from a time that is still to come: the clock was stepped back, and nobody is to be locked out until then
    "lockouts": f"OR last_failed_at > {LATEST_NOW} + interval '5 minutes'",
}


async def purge(database: Database) -> dict[str, int]:
    """Remove what is over, in short batches; returns how many rows of which table. The rest waits for the next call.

    Mails that were never sent stay: without an SMTP server the outbox is where people read them.
    """
    return {table: await _purge(database, table, *where) for table, where in _OVER.items()}


async def _purge(database: Database, table: str, column: str, age: str) -> int:
    more = _MORE.get(table, "")
    statement = text(
        f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table}"  # noqa: S608 - names from above
        f" WHERE {column} < {BELIEVED_NOW} - {age} {more}"
        f" ORDER BY {column} LIMIT :batch FOR UPDATE SKIP LOCKED))"
    )
    removed = 0
    for _ in range(MAX_BATCHES):
        async with database.statements() as connection:
            count = (await connection.execute(statement, {"batch": BATCH})).rowcount
        removed += count
        if count < BATCH:
            break
    return removed
