"""Bodies of freezing and unfreezing."""

from typing import Annotated, Any, Final, Literal

from pydantic import StringConstraints

from vault.problem_replies import ProblemDetails, or_problem
from vault.schemas import ExactModel, Reply, Timestamp

MAX_REASON_CHARS = 1000

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REASON_CHARS)]
Scope = Literal["agent", "organisation", "instance"]


class FreezeRequest(ExactModel):
    """Why, for the agent that is told and for the audit."""

    reason: Reason


class UnfreezeRequest(ExactModel):
    """Why, for the audit; a stop needs a reason, its end may have one."""

    reason: Reason | None = None


class FreezeReply(Reply):
    """Whether something is frozen, and if so since when, by whom and why."""

    frozen: bool
    frozen_at: Timestamp | None = None
    frozen_by: str | None = None
    frozen_by_name: str | None = None
    frozen_reason: str | None = None
    frozen_scope: Scope | None = None


class AgentFrozen(ProblemDetails):
    """A human stopped this agent, its organisation's or all: since when, who and why; `detail` says it in words."""

    type: Literal["agent_frozen"]
    frozen_at: Timestamp
    frozen_by: str
    frozen_by_name: str | None = None
    frozen_reason: str
    frozen_scope: Scope


FROZEN: Final[dict[int | str, dict[str, Any]]] = {
    403: or_problem(AgentFrozen, "Not within what the agent may, or it is frozen")
}
