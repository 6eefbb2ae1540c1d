"""Simulate: what would happen, under the same guardrails as a submission, with nothing signed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from chains import simulate as chain
from chains.addresses import format_address
from chains.fees import choose_fees
from chains.gas import TRANSACTION_GAS
from chains.quote import quote
from chains.units import format_units
from intents import refuse
from intents.counts import believed
from intents.draft import Draft
from intents.prepare import (
    Background,
    Denial,
    behind_of,
    borne_out,
    call_of,
    check,
    fee_cap,
    misfit,
    prepare,
    read_background,
)
from intents.view import timestamp
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import bad_request


async def simulate_one(context: Context, caller: Caller, draft: Draft, *, raw: bool = False) -> dict[str, Any]:
    """The contract's SimulationResponse for one draft; a revert is an answer (200), a guardrail a 403."""
    async with _denials_audited(context, caller, draft):
        prepared = await prepare(context, caller, draft, simulate_always=True)
    assert prepared.simulation is not None
    await _audit(context, caller, [draft], [prepared.simulation])
    return response(prepared.simulation, raw=raw)


async def simulate_bundle(
    context: Context, caller: Caller, drafts: list[Draft], *, raw: bool = False
) -> dict[str, Any]:
    """Every draft on the state the one before left; the daily limit counts the bundle's values together."""
    if len({draft.chain.chain_id for draft in drafts}) > 1:
        raise bad_request("transactions: a bundle runs on one chain; all must name the same.")
    found: list[Background] = []
    before_wei = 0
    for draft in drafts:
        async with _denials_audited(context, caller, draft):
            found.append(await read_background(context, caller, draft, before_wei))
        before_wei += draft.value_wei
    client = context.chains.for_chain(drafts[0].chain)
    quotes = {
        address: await believed(context, client, drafts[0].chain, address, each.known, await quote(client, address))
        for each in found
        for address in (each.grounds.key.address,)
    }
    wallets = {each.grounds.key.address: each for each in found}
    behind = [behind_of(drafts[0], each.prior, quotes[address]) for address, each in wallets.items()]
    together = replace(
        behind[0],
        pending=[call for each in behind for call in each.pending],
        unmined=[call for each in behind for call in each.unmined],
        tag="pending" if all(each.tag == "pending" for each in behind) else "latest",
    )
    calls = [call_of(draft, each.grounds.key) for draft, each in zip(drafts, found, strict=True)]
    ran = await chain.simulate_bundle(client, calls, together)
    results = [
        misfit(draft, quotes[each.grounds.key.address]) or borne_out(draft, result)
        for draft, each, result in zip(drafts, found, ran, strict=True)
    ]
    for draft, background, result in zip(drafts, found, results, strict=True):
        cap = fee_cap(choose_fees(draft.fees, quotes[background.grounds.key.address].fee_quote))
        succeeded = result.status == "success"
        gas = draft.gas_limit or (chain.recommended_gas(result) if succeeded else TRANSACTION_GAS)
        async with _denials_audited(context, caller, draft):
            check(draft, background.grounds.limits, background.spent_wei, gas_cost_wei=gas * cap)
    await _audit(context, caller, drafts, results)
    return {"simulations": [response(result, raw=raw) for result in results]}


@asynccontextmanager
async def _denials_audited(context: Context, caller: Caller, draft: Draft) -> AsyncIterator[None]:
    try:
        yield
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


def response(result: chain.SimulationResult, *, raw: bool = False) -> dict[str, Any]:
    """The contract's SimulationResponse: `balance_changes` is always an array, amounts are text."""
    body = {
        "simulation_id": str(uuid4()),
        "status": result.status,
        "gas_used": result.gas_used,
        "balance_changes": [change_of(change, raw=raw) for change in result.balance_changes],
        "error": result.error,
        "error_code": result.error_code,
        "error_human_readable": result.revert_reason or result.error,
        "revert_reason": result.revert_reason,
        "simulated_at": timestamp(datetime.now(UTC)),
    }
    return {name: value for name, value in body.items() if value is not None}


def change_of(change: chain.BalanceChange, *, raw: bool) -> dict[str, str]:
    """One holder's change: whole coins or tokens, as clients show them next to the symbol; `raw` adds the integers.

    A token that does not say how many decimals it has is counted in its smallest unit.
    """
    amounts = {"before": change.before, "after": change.after, "change": change.change}
    body = {
        "address": format_address(change.address),
        "token": "native" if change.token is None else format_address(change.token),
        "token_symbol": change.token_symbol,
        **{name: format_units(amount, change.decimals or 0) for name, amount in amounts.items()},
    }
    return body | {f"{name}_raw": str(amount) for name, amount in amounts.items()} if raw else body
