"""Simulate: what would happen, under the same guardrails as a submission, with nothing signed."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from chains import simulate as chain
from chains.addresses import format_address
from chains.fees import choose_fees
from chains.quote import quote
from intents import refuse
from intents.draft import Draft
from intents.prepare import TRANSFER_GAS, Denial, Grounds, call_of, check, fee_cap, prepare, read_grounds
from intents.view import timestamp
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import bad_request


async def simulate_one(context: Context, caller: Caller, draft: Draft) -> dict[str, Any]:
    """The contract's SimulationResponse for one draft; a revert is an answer (200), a guardrail a 403."""
    try:
        prepared = await prepare(context, caller, draft, simulate_always=True)
    except Denial as denial:
        await refuse.denied(context, caller, draft, denial, "simulate")
        raise
    assert prepared.simulation is not None
    await _audit(context, caller, [draft], [prepared.simulation])
    return response(prepared.simulation)


async def simulate_bundle(context: Context, caller: Caller, drafts: list[Draft]) -> dict[str, Any]:
    """Every draft on the state the one before left; the daily limit counts the bundle's values together."""
    if len({draft.chain.chain_id for draft in drafts}) > 1:
        raise bad_request("transactions: a bundle runs on one chain; all must name the same.")
    grounds: list[Grounds] = []
    spent_wei = 0
    for draft in drafts:
        found = await read_grounds(context, caller, draft)
        grounds.append(replace(found, spent_wei=found.spent_wei + spent_wei))
        spent_wei += draft.value_wei
    for draft, ground in zip(drafts, grounds, strict=True):
        await _check(context, caller, draft, ground, gas_cost_wei=0)
    client = context.chains.for_chain(drafts[0].chain)
    now = await quote(client, grounds[0].key.address)
    for draft, ground in zip(drafts, grounds, strict=True):
        cap = fee_cap(choose_fees(draft.fees, now.fee_quote))
        await _check(context, caller, draft, ground, gas_cost_wei=(draft.gas_limit or TRANSFER_GAS) * cap)
    calls = [call_of(draft, ground.key) for draft, ground in zip(drafts, grounds, strict=True)]
    results = await chain.simulate_bundle(client, calls, grounds[0].prior)
    await _audit(context, caller, drafts, results)
    return {"simulations": [response(result) for result in results]}


async def _check(context: Context, caller: Caller, draft: Draft, ground: Grounds, gas_cost_wei: int) -> None:
    try:
        check(draft, ground.limits, ground.spent_wei, gas_cost_wei)
    except Denial as denial:
        await refuse.denied(context, caller, draft, denial, "simulate")
        raise


async def _audit(
    context: Context, caller: Caller, drafts: list[Draft], results: list[chain.SimulationResult]
) -> None:
    async with context.database.begin() as connection:
        for draft, result in zip(drafts, results, strict=True):
            await write_for(
                connection,
                caller,
                "transaction.simulate",
                "agent",
                caller.id,
                chain=draft.chain.name,
                to=format_address(draft.to),
                value_wei=str(draft.value_wei),
                status=result.status,
            )


def response(result: chain.SimulationResult) -> dict[str, Any]:
    """The contract's SimulationResponse: `balance_changes` is always an array, amounts are text."""
    body = {
        "simulation_id": str(uuid4()),
        "status": result.status,
        "gas_used": result.gas_used,
        "balance_changes": [
            {
                "address": format_address(change.address),
                "token": "native" if change.token is None else format_address(change.token),
                "token_symbol": change.token_symbol,
                "before": str(change.before),
                "after": str(change.after),
                "change": str(change.change),
            }
            for change in result.balance_changes
        ],
        "error": result.error,
        "error_code": result.error_code,
        "error_human_readable": result.revert_reason or result.error,
        "revert_reason": result.revert_reason,
        "simulated_at": timestamp(datetime.now(UTC)),
    }
    return {name: value for name, value in body.items() if value is not None}
