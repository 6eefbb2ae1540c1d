"""The gate between a copy that was found to be old and a signature: each is wholly before the other.

Built like the gate of the freezes (`vault.freezes.gate`), on a table of its own: who signs keeps it open until the
commit, who finds that the copy is old closes it for the length of a short transaction.
"""

from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.columns import AnyRow
from vault.errors import Problem
from vault.freezes.gate import CLOSING_TIMEOUT_MS
from vault.metrics import counts
from vault.schemas import format_time

FoundBy = Literal["restore", "epoch", "chain"]
# a human has to look at it: who asks again sooner learns nothing
RETRY_AFTER_S = 60

_COLUMNS = "id, found_at, found_by, why, listed_at, counted_at, credentials_ended_at, opened_at, opened_by"
_LOOK = text(f"SELECT {_COLUMNS} FROM restores WHERE opened_at IS NULL")  # noqa: S608 - our own column names
# FOR SHARE for the table lock that goes with it, held to the end of the transaction even where no row is found
_PASS = text(f"SELECT {_COLUMNS} FROM restores WHERE opened_at IS NULL FOR SHARE")  # noqa: S608 - the same
# also for the supervisor, on a connection of its own
CLOSE = text("LOCK TABLE restores IN EXCLUSIVE MODE")
_PATIENCE = text(f"SET LOCAL lock_timeout = {CLOSING_TIMEOUT_MS}")
FREEZE = text("""
    INSERT INTO restores (found_by, why) VALUES (:found_by, :why)
    ON CONFLICT ((opened_at IS NULL)) WHERE opened_at IS NULL DO NOTHING
""")


async def find(connection: AsyncConnection) -> AnyRow | None:
    """The row that keeps this instance frozen, if one does."""
    return (await connection.execute(_LOOK)).one_or_none()


async def require_open(connection: AsyncConnection, *, binding: bool = False) -> None:
    """Raise 503 `restored_copy` while a human has not opened this copy.

    `binding` is for under the locks, behind the gate of the freezes: nothing closes this one before our commit.
    """
    found = (await connection.execute(_PASS if binding else _LOOK)).one_or_none()
    if found is not None:
        raise refusal(found)


async def close(connection: AsyncConnection) -> None:
    """Let no signature be made from now to the end of the transaction, and wait for those under way."""
    await connection.execute(_PATIENCE)
    await connection.execute(CLOSE)


async def freeze(connection: AsyncConnection, found_by: FoundBy, why: str) -> bool:
    """Freeze from this transaction's commit on; False where it was frozen already, which keeps its first reason."""
    await close(connection)
    return (await connection.execute(FREEZE, {"found_by": found_by, "why": why})).rowcount == 1


def refusal(found: AnyRow) -> Problem:
    """The 503 that says why nothing is signed and who can change that."""
    counts.denied("restore", found.found_by)
    return Problem(
        503,
        f"Nothing is signed: {found.why} Its administrator looks at what happened since (GET /v1/admin/restore),"
        " and opens it.",
        type="restored_copy",
        title="Restored Copy",
        extra={"found_at": format_time(found.found_at)},
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
