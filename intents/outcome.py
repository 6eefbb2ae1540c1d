"""After a connection broke while committing: did the commit happen? Only the database knows, so it is asked.

Answering "nothing was signed" about a transaction that exists would have the agent pay twice.
"""

import asyncio
import logging
import time
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from intents import wallets
from vault.db import Database
from vault.errors import Problem, unavailable

log = logging.getLogger(__name__)

# a database that was killed is back within seconds
DEADLINE_S = 15.0
PAUSE_S = 0.5

_EXISTS = text("SELECT 1 FROM transactions WHERE id = :id")


async def settle(database: Database, transaction_id: UUID, chain_id: int, address: bytes) -> None:
    """Return when the transaction was committed; Problem 503 when it was not, or when that stays unknown."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            async with database.begin() as connection:
                # the old connection's transaction holds this row until it has committed or is gone for good
                await wallets.lock(connection, chain_id, address)
                found = (await connection.execute(_EXISTS, {"id": transaction_id})).first()
        except (SQLAlchemyError, OSError) as error:
            log.warning("outcome of %s not known yet (%s)", transaction_id, type(error).__name__)
            await asyncio.sleep(PAUSE_S)
            continue
        if found is not None:
            return
        raise unavailable("The database was lost before anything was committed; nothing was done. Try again.")
    raise Problem(
        503,
        f"The database was lost while transaction {transaction_id} was committed: whether it exists is not known."
        " Look it up before you submit it anew, or repeat the request with the same Idempotency-Key.",
        headers={"Retry-After": "5"},
    )
