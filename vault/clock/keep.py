"""The worker's look at the database's clock, every few seconds: the leash moves on, or the clock is in doubt."""

import structlog

from vault.clock import blocks, rule, store
from vault.clock.rule import Kept, Seen
from vault.context import Context

log = structlog.get_logger(__name__)

EVERY_S = 5.0

_UNTIL = (
    "nothing that was spent stops counting by it until a block of an external chain is within 10 minutes of it,"
    " or somebody on the host says that it is right (talon admin accept-clock)."
)


class Keeper:
    """The looks of one process."""

    def __init__(self) -> None:
        self._is_starting = True

    async def look(self, context: Context) -> None:
        """Look at the clock once and write down how far it is believed from here."""
        async with context.database.statements() as connection:
            found = await store.read(connection)
        endpoints = await blocks.external(context)
        kept = rule.look(found.kept, found.seen, external=bool(endpoints), starting=self._is_starting)
        if kept.doubt is not None and endpoints:
            kept = rule.hear(kept, found.seen, await blocks.newest(endpoints))
        was = found.kept.doubt
        why = found.why if kept.doubt == was else sentence(kept, found.seen)
        async with context.database.begin() as connection:
            written = await store.write(connection, found, kept, why)
        if not written:
            return
        self._is_starting = False
        if was is None and kept.doubt is not None:
            log.warning("the clock is in doubt", why=why)
        elif was is not None and kept.doubt is None:
            log.warning("the clock is believed again", word=kept.word)


def sentence(kept: Kept, seen: Seen) -> str | None:
    """Why the clock is in doubt and what ends it; None for one that is believed."""
    off = f"{abs(seen.at - kept.at):.0f} s"
    if kept.doubt == "ahead":
        return f"The database's clock went {off} ahead of the time that passed: {_UNTIL}"
    if kept.doubt == "behind":
        return f"The database's clock went {off} behind the time that passed: {_UNTIL}"
    if kept.doubt == "start":
        return (
            "The database's clock is more than 10 minutes ahead of the newest block of every external chain that"
            f" answers: {_UNTIL}"
        )
    if kept.doubt == "silent":
        return f"No external chain has answered yet, to hold the database's clock against: {_UNTIL}"
    return None
