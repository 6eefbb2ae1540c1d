"""The clock's row, and a look at the database's clock with it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.clock.boottime import boot_id, boottime_s
from vault.clock.rule import Kept, Seen

_READ = text("""
    SELECT extract(epoch FROM believed_at)::float8 AS at, extract(epoch FROM leash)::float8 AS leash,
           boot_id, boottime_s, word, doubt, why, revision,
           extract(epoch FROM clock_timestamp())::float8 AS now
    FROM clock
""")

_WRITE = text("""
    UPDATE clock SET believed_at = to_timestamp(:at), leash = to_timestamp(:leash), boot_id = :boot_id,
           boottime_s = :boottime_s, word = :word, doubt = :doubt, why = :why,
           doubted_at = CASE WHEN CAST(:doubt AS text) IS NULL THEN NULL
                             ELSE COALESCE(doubted_at, to_timestamp(:at)) END,
           revision = revision + 1
    WHERE revision = :revision
""")

# what a crash of the database loses of it is a moment less of belief
_UNHURRIED = text("SET LOCAL synchronous_commit = off")
_WHY = text("SELECT why FROM clock WHERE doubt IS NOT NULL")


@dataclass(frozen=True)
class Look:
    """What was kept and what the clock says; `why` is the sentence of a doubt."""

    kept: Kept
    seen: Seen
    why: str | None
    revision: int


async def read(connection: AsyncConnection) -> Look:
    """Look at the row and at the clock, on this host's time."""
    before_s = boottime_s()
    row = (await connection.execute(_READ)).one()
    seen = Seen(row.now, boot_id(), before_s, boottime_s())
    return Look(
        Kept(row.at, row.leash, row.boot_id, row.boottime_s, row.word, row.doubt), seen, row.why, row.revision
    )


async def write(
    connection: AsyncConnection, look: Look, kept: Kept, why: str | None, *, durable: bool = False
) -> bool:
    """Write what is believed now; False when somebody else has written since the look."""
    if not durable:
        await connection.execute(_UNHURRIED)
    written = await connection.execute(_WRITE, asdict(kept) | {"why": why, "revision": look.revision})
    return written.rowcount == 1


async def note(connection: AsyncConnection) -> Sequence[str]:
    """For health: why the clock is in doubt, if it is."""
    return list((await connection.execute(_WHY)).scalars())
