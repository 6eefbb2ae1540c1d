"""The gate between a human's stop and a signature: each is wholly before the other.

Whoever signs passes the gate and keeps it open until the commit; whoever stops closes it for the length of a short
transaction. It is the lock of the table as a whole, because PostgreSQL grants those in the order asked for: a stop
waits for the signatures under way, and those that come later wait for it. Row locks have no such order, and under
load a share lock on a row is never free.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.columns import AnyRow
from vault.errors import Problem
from vault.metrics import counts
from vault.schemas import format_time

INSTANCE = UUID(int=0)
# a signature keeps the gate open for 4 s at most, the life of its approval, and some statements around it; the rest
# is for a slow database: what closes the gate is worth waiting for
CLOSING_TIMEOUT_MS = 9_000

_CLOSE = text("LOCK TABLE freezes IN EXCLUSIVE MODE")
_PATIENCE = text(f"SET LOCAL lock_timeout = {CLOSING_TIMEOUT_MS}")
# the narrowest first: what the agent's own human can lift
# a name that holds an address is none: agents, who are told it, are told nobody's address
_READ = """
    SELECT scope, target_id, frozen_at, frozen_by, reason,
           (SELECT display_name FROM users
            WHERE id = frozen_by AND position('@' in display_name) = 0) AS frozen_by_name
    FROM freezes WHERE target_id = ANY(:targets)
    ORDER BY array_position(CAST(ARRAY['agent', 'organisation', 'instance'] AS text[]), scope)
"""
_TARGETS = bindparam("targets", type_=ARRAY(PgUUID(as_uuid=True)))
_LOOK = text(_READ).bindparams(_TARGETS)
# FOR SHARE for the table lock that goes with it, held to the end of the transaction even where no row is found; the
# statement looks at the table only once it has that lock
_PASS = text(f"{_READ} FOR SHARE").bindparams(_TARGETS)


async def described(connection: AsyncConnection, agents: Sequence[AnyRow]) -> dict[UUID, dict[str, Any]]:
    """Of an organisation's agents those that may not sign, each with the members of the narrowest stop."""
    if not agents:
        return {}
    targets = [*(agent.id for agent in agents), agents[0].org_id, INSTANCE]
    found = list(await connection.execute(_LOOK, {"targets": targets}))
    own = {freeze.target_id: freeze for freeze in found}
    wide = next((freeze for freeze in found if freeze.scope != "agent"), None)
    of_each = {agent.id: own.get(agent.id, wide) for agent in agents}
    return {agent_id: members(freeze) for agent_id, freeze in of_each.items() if freeze is not None}


async def find(connection: AsyncConnection, target_id: UUID) -> AnyRow | None:
    """The stop of this very thing."""
    return (await connection.execute(_LOOK, {"targets": [target_id]})).one_or_none()


async def require_open(connection: AsyncConnection, org_id: UUID, agent_id: UUID, *, binding: bool) -> None:
    """Raise 403 `agent_frozen` if the agent may not sign.

    `binding` is for under the locks: nothing is frozen, and nothing else closes the gate, before our commit.
    """
    named = {"targets": [agent_id, org_id, INSTANCE]}
    found = (await connection.execute(_PASS if binding else _LOOK, named)).first()
    if found is not None:
        raise refusal(found)


async def close(connection: AsyncConnection) -> None:
    """Let no signature be made from now to the end of the transaction, and wait for those under way."""
    await connection.execute(_PATIENCE)
    await connection.execute(_CLOSE)


def refusal(freeze: AnyRow) -> Problem:
    """The 403 that says what is frozen, by whom and why; never a 401, which would make clients log in again."""
    counts.denied("freeze", freeze.scope)
    what, who = {
        "agent": ("This agent is frozen", "an owner or admin of its organisation"),
        "organisation": ("All agents of this organisation are frozen", "an owner or admin of it"),
        "instance": ("All agents of this instance are frozen", "its administrator"),
    }[freeze.scope]
    named = members(freeze)
    if name := named.get("frozen_by_name"):
        who = f"{name}, {who}"
    return Problem(
        403,
        f"{what} by {who} (user:{freeze.frozen_by}): {freeze.reason}",
        type="agent_frozen",
        title="Agent Frozen",
        extra={**named, "frozen_at": format_time(freeze.frozen_at)},
    )


def members(freeze: AnyRow) -> dict[str, Any]:
    """A freeze in the members that every answer has for it; the name only of a person who has one."""
    name = " ".join((freeze.frozen_by_name or "").split())
    return {
        **({"frozen_by_name": name} if name else {}),
        "frozen_at": freeze.frozen_at,
        "frozen_by": f"user:{freeze.frozen_by}",
        "frozen_reason": freeze.reason,
        "frozen_scope": freeze.scope,
    }
