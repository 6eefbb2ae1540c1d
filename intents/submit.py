"""Submit a transaction: the way from a draft to bytes a node has taken, step by step.

1. (router) who calls, body to a typed draft   5. simulate, before any signature
2. claim the Idempotency-Key                   6. lock and decide again
3. quote, without a lock                       7. sign, write, commit
4. decide, first pass                          8. broadcast, only after the commit
"""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from chains.rpc import SendResult
from intents import broadcast, idempotency, read, refuse, view
from intents.commit import Committed, commit
from intents.draft import Draft
from intents.engine import Engine
from intents.idempotency import Claim, Replay
from intents.prepare import Denial, Prepared, prepare
from intents.status import Status
from vault.auth.caller import Caller
from vault.context import Context

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What the router sends: the HTTP status and the body."""

    status: int
    body: dict[str, Any]


async def submit(
    context: Context, engine: Engine, caller: Caller, draft: Draft, idempotency_key: str | None
) -> Answer:
    """Carry out steps 2 to 8; 201 once anything is committed, whatever the chain says afterwards."""
    claim: Claim | None = None
    if idempotency_key is not None:
        claimed = await idempotency.claim(context.database, caller.id, idempotency_key, draft.fingerprint())
        if isinstance(claimed, Replay):
            return await replay(context, caller.id, claimed.transaction_id)
        claim = claimed
    try:
        async with idempotency.kept(context.database, claim):
            prepared = await prepare(context, caller, draft, simulate_always=False)
            if prepared.simulation is not None and prepared.simulation.status != "success":
                return simulation_failed(await refuse.simulation_failed(context, caller, prepared, claim))
            async with engine.queue.turn(draft.chain.chain_id, prepared.key.address):
                committed = await commit(context, caller, prepared, "submit", claim)
                sending = engine.broadcaster.enqueue(
                    prepared.client, (draft.chain.chain_id, prepared.key.address), committed.raw
                )
    except BaseException as error:
        # Nothing was signed: free the key, so that a corrected request may use it. A claim that was completed
        # or taken over is not ours any more, and `release` leaves it alone.
        if claim is not None:
            await release(context, claim)
        if isinstance(error, Denial):
            await refuse.denied(context, caller, draft, error, "submit")
        raise
    return await finish(context, prepared, committed, await broadcast.outcome_of(sending))


async def release(context: Context, claim: Claim) -> None:
    """Free the key; without a database its lease ends by itself, and the first error is the one to tell."""
    try:
        await idempotency.release(context.database, claim)
    except (SQLAlchemyError, OSError):
        log.warning("an Idempotency-Key could not be released; its lease ends by itself")


async def finish(context: Context, prepared: Prepared, committed: Committed, result: SendResult) -> Answer:
    """Step 8's end: the answer is 201 from here on, even if the database has gone away meanwhile."""
    row = dict(committed.row)
    row["error_message"] = broadcast.explain(result)
    if result.outcome in broadcast.TAKEN:
        row["status"] = Status.BROADCAST.value
    try:
        await broadcast.record(context.database, committed.transaction_id, committed.attempt_id, result)
    except SQLAlchemyError:
        log.warning("broadcast outcome not recorded; the worker finds it out again")
    return Answer(201, view.transaction(row, signed_tx=committed.raw))


async def replay(context: Context, agent_id: UUID, transaction_id: UUID) -> Answer:
    """The answer to a repeated Idempotency-Key: the same transaction, 200; a failed simulation stays a 422."""
    found = await read.one(context, agent_id, transaction_id)
    if found.row["status"] == Status.SIMULATION_FAILED:
        return simulation_failed(found.row)
    return Answer(200, view.transaction(found.row, signed_tx=found.signed_tx))


def simulation_failed(row: dict[str, Any]) -> Answer:
    """422 with both faces: the transaction's fields and a problem's `detail` (clients read either)."""
    body = view.transaction(row)
    body |= {"type": "about:blank", "title": "Unprocessable Entity", "detail": row["error_message"]}
    return Answer(422, body)
