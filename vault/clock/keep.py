"""The worker's look at the database's clock, every few seconds: the leash moves on, or the clock is in doubt."""

import time

import structlog

from vault.clock import blocks, rule, store
from vault.clock.rule import Kept, Seen
from vault.context import Context

log = structlog.get_logger(__name__)

EVERY_S = 5.0
# how often chains are asked about a clock in doubt; at first at every look
ASK_EVERY_S = 15.0

_UNTIL = (
    "nothing that was spent stops counting by it until a block of an external chain is within 10 minutes of it,"
    " or somebody on the host says that it is right (talon admin accept-clock)."
)


class Keeper:
    """What one leading worker remembers between its looks."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")

    async def look(self, context: Context) -> None:
        """Look at the clock once and write down how far it is believed from here."""
        async with context.database.statements() as connection:
            look = await store.read(connection)
        endpoints = await blocks.external(context)
        kept = rule.look(look.kept, look.seen, external=bool(endpoints))
        if kept.doubt is not None and endpoints and self._may_ask(is_new=look.kept.doubt is None):
            kept = rule.hear(kept, look.seen, await blocks.newest(endpoints))
        was = look.kept.doubt
        why = look.why if kept.doubt == was else sentence(kept, look.seen)
        async with context.database.begin() as connection:
            written = await store.write(connection, look, kept, why)
        if written and was is None and kept.doubt is not None:
            log.warning("the clock is in doubt", why=why)
        elif written and was is not None and kept.doubt is None:
            log.warning("the clock is believed again", word=kept.word)

    def _may_ask(self, *, is_new: bool) -> bool:
        now = time.monotonic()
        if not is_new and now - self._asked_at < ASK_EVERY_S:
            return False
        self._asked_at = now
        return True


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
