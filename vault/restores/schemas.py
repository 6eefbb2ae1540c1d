"""Bodies about a copy that was found to be old."""

from typing import Any, Final, Literal

from vault.problem_replies import ProblemDetails, or_problem
from vault.schemas import Timestamp


class RestoredCopy(ProblemDetails):
    """The database is older than what was signed, or was restored: nothing is signed until its admin opens it."""

    type: Literal["restored_copy"]
    found_at: Timestamp


RESTORED: Final[dict[int | str, dict[str, Any]]] = {
    503: or_problem(RestoredCopy, "A part is down, or this is a restored copy that nobody has opened yet")
}
