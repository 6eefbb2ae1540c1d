"""Keep a record of what was not signed: denied by a guardrail, or stopped by its simulation."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import insert

from chains.addresses import format_address
from chains.simulate import SimulationResult
from guardrails.wording import in_coins
from intents import idempotency, models
from intents.commit import intent_columns
from intents.draft import Draft
from intents.idempotency import Claim
from intents.prepare import Denial, Prepared
from intents.status import Status
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.metrics import counts


async def denied(context: Context, caller: Caller, draft: Draft, denial: Denial, asked: str) -> None:
    """Audit a guardrail's no: rule, limit and value, for the human who set it."""
    counts.denied("guardrail", denial.denied.rule)
    async with context.database.begin() as connection:
        await write_for(
            connection,
            caller,
            "transaction.deny",
            "agent",
            caller.id,
            asked=asked,
            rule=denial.denied.rule,
            limit=denial.denied.limit,
            actual=denial.denied.actual,
            chain=draft.chain.name,
            to=format_address(draft.to),
            value_wei=str(draft.value_wei),
        )


async def simulation_failed(
    context: Context, caller: Caller, prepared: Prepared, claim: Claim | None
) -> dict[str, Any]:
    """Store the transaction as `simulation_failed` with its reason, bind the claim to it, and return its row."""
    assert prepared.simulation is not None
    now = datetime.now(UTC)
    columns = intent_columns(caller, prepared, uuid4())
    reason = reason_of(prepared.simulation, prepared.draft.value_wei)
    counts.denied("simulation", prepared.simulation.status)
    row: dict[str, Any] = {column.name: None for column in models.Transaction.__table__.columns}
    row |= columns | {
        "status": Status.SIMULATION_FAILED.value,
        "error_message": reason,
        "created_at": now,
        "final_at": now,
    }
    async with context.database.begin() as connection:
        if claim is not None:
            await idempotency.hold(connection, claim)
        await connection.execute(insert(models.Transaction).values(**row))
        await write_for(
            connection,
            caller,
            "transaction.simulation_failed",
            "transaction",
            row["id"],
            chain=row["chain"],
            to=format_address(row["to_address"]),
            value_wei=str(row["value_wei"]),
            reason=reason,
        )
        if claim is not None:
            await idempotency.complete(connection, claim, row["id"])
    return row


def reason_of(simulation: SimulationResult, value_wei: int) -> str:
    """The failure of simulating a transaction of `value_wei` in one sentence."""
    said = f"reverted, {simulation.revert_reason}" if simulation.status == "reverted" else simulation.error
    return f"Simulation failed: {said or simulation.status}{in_coins(value_wei)}"
