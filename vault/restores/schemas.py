"""Bodies about a copy that was found to be old."""

from typing import Any, Final, Literal

from vault.problem_replies import ProblemDetails, or_problem
from vault.schemas import Reply, Timestamp


class RestoredCopy(ProblemDetails):
    """The database is older than what was signed, or was restored: nothing is signed until its admin opens it."""

    type: Literal["restored_copy"]
    found_at: Timestamp


class EndedReply(Reply):
    """How many were ended: agents with a key, certificate or identity, people's API keys, people with tokens,
    sessions and devices, and links in mails (invitations among them)."""

    agents: int
    api_keys: int
    people: int
    sessions: int
    mailed_links: int


RESTORED: Final[dict[int | str, dict[str, Any]]] = {
    503: or_problem(RestoredCopy, "A part is down, or this is a restored copy that nobody has opened yet")
}
