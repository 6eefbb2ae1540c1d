"""What the database says at the moment of a scrape: one bounded statement each, on what indexes hold.

A fact that cannot be had in time is left out and named in `talon_scrape_failed`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from vault.db import Database
from vault.soon import soon

PATIENCE_S = 1.0
# a wallet whose transaction has waited this long for its block needs somebody to look at it
STUCK_AFTER_S = 300
# labels by wallet at most; the totals count all
MAX_WALLETS = 50
MAX_COUNTED = 100_000
# an event deleted before its seal waits for ever, and must not hide the age of those behind it
MAX_LOOKED_AT = 100

_AUDIT = text(f"""
    SELECT (SELECT count(*) FROM (SELECT 1 FROM audit_pending LIMIT {MAX_COUNTED}) waiting) AS waiting,
           COALESCE((SELECT extract(epoch FROM clock_timestamp() - min(event.created_at))
                     FROM (SELECT event_id FROM audit_pending ORDER BY sequence LIMIT {MAX_LOOKED_AT}) oldest
                     JOIN audit_events event ON event.id = oldest.event_id), 0)::float8 AS oldest_s
""")  # noqa: S608 - made of constants

_MAILS = text(f"""
    SELECT count(*) AS waiting,
           COALESCE(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS oldest_s
    FROM (SELECT created_at FROM outbox_mails WHERE sent_at IS NULL LIMIT {MAX_COUNTED}) unsent
""")  # noqa: S608 - made of constants

_STUCK = text(f"""
    SELECT chain_id, encode(wallet_address, 'hex') AS address, count(*) AS transactions,
           extract(epoch FROM clock_timestamp() - min(signed_at))::float8 AS oldest_s, count(*) OVER () AS wallets
    FROM transactions
    WHERE final_at IS NULL AND block_number IS NULL AND status IN ('signed', 'broadcast')
      AND chain_reset_at IS NULL
      AND signed_at < clock_timestamp() - make_interval(secs => {STUCK_AFTER_S})
    GROUP BY chain_id, wallet_address ORDER BY oldest_s DESC LIMIT {MAX_WALLETS}
""")  # noqa: S608 - made of constants

_CLOCK = text("""
    SELECT doubt IS NOT NULL AS in_doubt, extract(epoch FROM clock_timestamp() - believed_at)::float8 AS ahead_s
    FROM clock
""")

_STOPPED = text("SELECT count(*) AS wallets FROM wallets WHERE stopped_at IS NOT NULL")

# on the index of the open transactions
_WAITING = text("""
    SELECT COALESCE(extract(epoch FROM now() - min(signed_at) FILTER (WHERE status = 'signed')), 0)::float8
               AS unsent_s,
           COALESCE(extract(epoch FROM now() - min(signed_at) FILTER (WHERE status = 'broadcast')), 0)::float8
               AS unmined_s
    FROM transactions
    WHERE final_at IS NULL AND block_number IS NULL AND status IN ('signed', 'broadcast') AND chain_reset_at IS NULL
""")

STATEMENTS = {
    "audit": _AUDIT,
    "mail": _MAILS,
    "transactions": _WAITING,
    "stuck_wallets": _STUCK,
    "clock": _CLOCK,
    "stopped_wallets": _STOPPED,
}


@dataclass(frozen=True)
class Facts:
    """Rows by the name of their statement; None: not to be had."""

    rows: Mapping[str, Sequence[Any] | None]


async def read_facts(database: Database) -> Facts:
    """Everything at once; never longer than `PATIENCE_S`."""
    found = await asyncio.gather(*(_ask(database, name) for name in STATEMENTS))
    return Facts(dict(zip(STATEMENTS, found, strict=True)))


async def _ask(database: Database, name: str) -> Sequence[Any] | None:
    async def ask() -> Sequence[Any]:
        async with database.statements() as connection:
            return (await connection.execute(STATEMENTS[name])).all()

    try:
        return await soon(ask(), PATIENCE_S)
    except (SQLAlchemyError, OSError, TimeoutError):
        return None
