"""What a database says when it takes nothing from anybody, in words for people. [pure]"""

from typing import Final

DISK_FULL: Final = "The database's disk is full"
READ_ONLY: Final = "The database takes no writes: it is read-only"
REFUSALS: Final = {"53100": DISK_FULL, "25006": READ_ONLY}
# what a connection is refused with has no SQLSTATE for us: the driver passes on its text alone
_NO_SPACE: Final = "FATAL:  could not write init file: No space left on device"


def refusal(sqlstate: str | None, text: str) -> str | None:
    """A sentence without its full stop; None for whatever else is wrong."""
    return REFUSALS.get(sqlstate or "") or (DISK_FULL if _NO_SPACE in text else None)
