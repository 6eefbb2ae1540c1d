"""What would happen: from the node itself, on the pending state, with nobody else involved.

One exchange with the node for a plain transfer, two where a contract moves balances that its calldata does not
tell, or where gas has to be found. A node without eth_simulateV1 gets a plainer answer that says so in `method`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from chains.defaults import DEFAULT_CHAINS
from chains.errors import RpcRefused, RpcUnavailable
from chains.quantities import COUNT_BITS, quantity
from chains.refusals import lacks_method
from chains.reverts import decode_revert
from chains.rpc import ChainClient
from chains.simulate_plain import simulate_plainly, unchained
from chains.simulation import MAX_PAIRS, Call, Plan, Ran, UnreadableError, call_object
from chains.simulation_result import (
    BalanceChange,
    SimulationResult,
    cannot_start,
    from_refusal,
    recommended_gas,
    reverted,
)
from chains.transfers import Pair, guess, touched
from chains.units import DECIMALS as NATIVE_DECIMALS

__all__ = ["BalanceChange", "Call", "SimulationResult", "recommended_gas", "simulate", "simulate_bundle"]

SIMULATE: Final = "eth_simulateV1"
TRANSFER_GAS: Final = 21_000
# Room for what changes until the block, and for refunds, which a limit must cover before they are given back
GAS_MARGIN_PERCENT: Final = 130
# Contracts that pass on 63/64 of their gas can need more than they use (EIP-150): tried until it holds
MAX_TRIES: Final = 4
# Where gas pays for more than execution (Arbitrum's share of L1, ZKsync's pubdata), only the node knows how much
NODE_ESTIMATES: Final = frozenset({42161, 42170, 421614, 324, 300})

_CURRENCIES: Final = {chain.chain_id: chain.native_currency for chain in DEFAULT_CHAINS}


async def simulate(client: ChainClient, call: Call, prior: Sequence[Call] = ()) -> SimulationResult:
    """Run `call` on the pending state, behind `prior` (our own transactions that the node does not know yet).

    Raises RpcError when the node does not answer, or answers what cannot be read: never a success that was not seen.
    """
    try:
        (result,) = await _simulate_all(client, [call], prior)
    except RpcRefused as refused:
        if lacks_method(refused):
            return await simulate_plainly(client, call, prior, GAS_MARGIN_PERCENT)
        return from_refusal(refused, SIMULATE, prior)
    if client.chain_id in NODE_ESTIMATES and call.gas_limit is None and result.gas_limit is not None:
        return replace(result, gas_limit=await _node_estimate(client, call, result.gas_limit))
    return result


async def simulate_bundle(
    client: ChainClient, calls: Sequence[Call], prior: Sequence[Call] = ()
) -> list[SimulationResult]:
    """Run each call on the state the one before left; a call that fails leaves nothing, and the next still runs.

    Raises as `simulate` does.
    """
    if len(calls) == 1:
        return [await simulate(client, calls[0], prior)]
    try:
        return await _simulate_all(client, calls, prior)
    except RpcRefused as refused:
        if lacks_method(refused):
            first = await simulate_plainly(client, calls[0], prior, GAS_MARGIN_PERCENT)
            return [first, *(unchained() for _ in calls[1:])]
    # A node refuses the whole when one call cannot even start: find out which, one by one
    results: list[SimulationResult] = []
    before = list(prior)
    for call in calls:
        result = await simulate(client, call, before)
        results.append(result)
        if result.status == "success":
            before.append(call)
    return results


async def _simulate_all(client: ChainClient, calls: Sequence[Call], prior: Sequence[Call]) -> list[SimulationResult]:
    """All calls in one request, repeated until every touched balance is read and every gas limit holds."""
    watched: list[list[Pair]] = [_extended([], guess(call.sender, call.to, call.data)) for call in calls]
    limits = [call.gas_limit for call in calls]
    ran = await _run(client, prior, calls, watched)
    for _ in range(MAX_TRIES):
        seen = [_extended(pairs, touched(each.logs)) for pairs, each in zip(watched, ran, strict=True)]
        wanted = [_limit(*each) for each in zip(calls, limits, ran, strict=True)]
        if seen == watched and all(proven for _, proven in wanted):
            break
        watched, limits = seen, [limit for limit, _ in wanted]
        tried = [replace(call, gas_limit=limit) for call, limit in zip(calls, limits, strict=True)]
        ran = await _run(client, prior, tried, watched)
    final = [_limit(*each)[0] for each in zip(calls, limits, ran, strict=True)]
    return [_result(client.chain_id, *each) for each in zip(calls, final, watched, ran, strict=True)]


async def _run(
    client: ChainClient, prior: Sequence[Call], calls: Sequence[Call], watched: Sequence[Sequence[Pair]]
) -> list[Ran]:
    plan = Plan(prior, calls, watched)
    try:
        return plan.read(await client.call(SIMULATE, plan.params()))
    except UnreadableError as error:
        raise RpcUnavailable(str(error)) from error


def _limit(call: Call, tried: int | None, ran: Ran) -> tuple[int | None, bool]:
    """The gas limit to go on with after a run with the limit `tried`, and whether there is nothing left to prove."""
    if call.gas_limit is not None:
        return call.gas_limit, True
    if tried is None:
        if not ran.succeeded:
            return None, True
        if ran.gas_used == TRANSFER_GAS and not call.data:
            return TRANSFER_GAS, True
        return min(ran.gas_used * GAS_MARGIN_PERCENT // 100, ran.block_gas_limit), False
    if ran.succeeded or tried >= ran.block_gas_limit:
        return tried, True
    return min(2 * tried, ran.block_gas_limit), False


async def _node_estimate(client: ChainClient, call: Call, at_least: int) -> int:
    (estimated,) = await client.batch([("eth_estimateGas", [call_object(call), "pending"])])
    if isinstance(estimated, RpcRefused):
        # it does not know `prior`, so it may fail where the simulation did not
        return at_least
    return max(at_least, quantity(estimated, COUNT_BITS) * GAS_MARGIN_PERCENT // 100)


def _extended(known: Sequence[Pair], more: Iterable[Pair]) -> list[Pair]:
    # in a fixed order, so that the same simulation reads the same
    new = sorted(set(more).difference(known), key=lambda pair: (pair[1] or b"", pair[0]))
    return [*known, *new][:MAX_PAIRS]


def _result(chain_id: int, call: Call, limit: int | None, watched: Sequence[Pair], ran: Ran) -> SimulationResult:
    if call.gas_limit is not None and call.gas_limit > ran.block_gas_limit:
        return cannot_start(
            "GAS_LIMIT_ABOVE_BLOCK",
            f"gas_limit {call.gas_limit} is above the block's gas limit of {ran.block_gas_limit}",
            SIMULATE,
        )
    if not ran.succeeded:
        return reverted(_reason(ran, limit), ran.gas_used, SIMULATE)
    more = f"; balances of the first {MAX_PAIRS} holders" if len(watched) == MAX_PAIRS else ""
    return SimulationResult(
        status="success",
        gas_used=ran.gas_used,
        balance_changes=_changes(chain_id, ran),
        method=f"{SIMULATE}{more}",
        gas_limit=limit,
    )


def _reason(ran: Ran, limit: int | None) -> str:
    if not ran.returned and ran.gas_used >= (limit or ran.block_gas_limit):
        return "out of gas, or an invalid instruction: all gas was used up"
    return decode_revert(ran.returned, ran.message)


def _changes(chain_id: int, ran: Ran) -> list[BalanceChange]:
    native = _CURRENCIES.get(chain_id, "ETH")
    return [
        BalanceChange(
            address=holder,
            token=token,
            token_symbol=native if token is None else ran.symbols.get(token, ""),
            decimals=NATIVE_DECIMALS if token is None else ran.decimals.get(token),
            before=ran.before[holder, token],
            after=after,
            change=after - ran.before[holder, token],
        )
        for (holder, token), after in ran.after.items()
        if ran.before.get((holder, token), after) != after
    ]
