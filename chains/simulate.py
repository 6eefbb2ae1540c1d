"""What would happen: from the node itself, on the pending state, with nobody else involved.

One exchange with the node for a plain transfer, two where a contract moves balances that its calldata does not
tell, or where gas has to be found. A node without eth_simulateV1 gets a plainer answer that says so in `method`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from chains.defaults import DEFAULT_CHAINS
from chains.errors import RpcRefused, Unreadable
from chains.gas import TRANSACTION_GAS
from chains.hexdata import format_data
from chains.quantities import COUNT_BITS, quantity
from chains.refusals import dislikes_pending, lacks_method
from chains.reverts import decode_revert
from chains.rpc import ChainClient
from chains.simulate_plain import PLAINLY, simulate_plainly, unchained
from chains.simulation import MAX_PAIRS, Call, Plan, Ran, UnreadableError, call_object
from chains.simulation_result import (
    BalanceChange,
    SimulationResult,
    cannot_fit,
    cannot_start,
    from_refusal,
    padded,
    recommended_gas,
    reverted,
)
from chains.transfers import Pair, guess, touched
from chains.units import DECIMALS as NATIVE_DECIMALS

__all__ = ["BalanceChange", "Behind", "Call", "SimulationResult", "recommended_gas", "simulate", "simulate_bundle"]

SIMULATE: Final = "eth_simulateV1"
# Room for what changes until the block, and for refunds, which a limit must cover before they are given back
GAS_MARGIN_PERCENT: Final = 130
# Contracts that pass on 63/64 of their gas can need more than they use (EIP-150): tried until it holds
MAX_TRIES: Final = 4

Tag = Literal["pending", "latest"]
_CURRENCIES: Final = {chain.chain_id: chain.native_currency for chain in DEFAULT_CHAINS}


@dataclass(frozen=True, slots=True)
class Behind:
    """What a call is run behind: the chain's state, and our own transactions that are not in it yet.

    `pending` are those that the node's pending state lacks, `unmined` those that its latest block lacks: for nodes
    that know no pending state. `max_gas` is the most a transaction may be given on this chain.
    """

    pending: Sequence[Call] = ()
    unmined: Sequence[Call] = ()
    max_gas: int | None = None
    tag: Tag = "pending"

    @property
    def calls(self) -> Sequence[Call]:
        """Those to run first on the state of `tag`."""
        return self.pending if self.tag == "pending" else self.unmined

    def and_then(self, call: Call) -> "Behind":
        """With one more of ours."""
        return replace(self, pending=(*self.pending, call), unmined=(*self.unmined, call))


NOTHING: Final = Behind()


async def simulate(client: ChainClient, call: Call, behind: Behind = NOTHING) -> SimulationResult:
    """Run `call` on the pending state, behind our own transactions that the node does not know yet.

    Raises RpcError when the node does not answer, or answers what cannot be read: never a success that was not seen.
    """
    try:
        (result,) = await _simulate_all(client, [call], behind)
    except RpcRefused as refused:
        if behind.tag == "pending" and dislikes_pending(refused):
            return await simulate(client, call, replace(behind, tag="latest"))
        if lacks_method(refused):
            return await _simulate_plainly(client, call, behind)
        return from_refusal(refused, SIMULATE, behind.calls)
    return result


async def _simulate_plainly(client: ChainClient, call: Call, behind: Behind) -> SimulationResult:
    try:
        return await simulate_plainly(
            client, call, behind.calls, margin_percent=GAS_MARGIN_PERCENT, max_gas=behind.max_gas, tag=behind.tag
        )
    except RpcRefused as refused:
        if behind.tag == "pending" and dislikes_pending(refused):
            return await _simulate_plainly(client, call, replace(behind, tag="latest"))
        return from_refusal(refused, PLAINLY, ())


async def transfer_gas(client: ChainClient, sender: bytes, otherwise: int) -> int:
    """The gas limit for a transfer of nothing from `sender` to itself, by the node; `otherwise` where it names none.

    RpcUnavailable when no node answers.
    """
    nothing = {"from": format_data(sender), "to": format_data(sender), "value": "0x0"}
    try:
        return padded(quantity(await client.call("eth_estimateGas", [nothing]), COUNT_BITS), b"", GAS_MARGIN_PERCENT)
    except RpcRefused:
        return otherwise


async def simulate_bundle(
    client: ChainClient, calls: Sequence[Call], behind: Behind = NOTHING
) -> list[SimulationResult]:
    """Run each call on the state the one before left; a call that fails leaves nothing, and the next still runs.

    Raises as `simulate` does.
    """
    if len(calls) == 1:
        return [await simulate(client, calls[0], behind)]
    try:
        return await _simulate_all(client, calls, behind)
    except RpcRefused as refused:
        if behind.tag == "pending" and dislikes_pending(refused):
            return await simulate_bundle(client, calls, replace(behind, tag="latest"))
        if lacks_method(refused):
            first = await _simulate_plainly(client, calls[0], behind)
            return [first, *(unchained() for _ in calls[1:])]
    # A node refuses the whole when one call cannot even start: find out which, one by one
    results: list[SimulationResult] = []
    for call in calls:
        result = await simulate(client, call, behind)
        results.append(result)
        if result.status == "success":
            behind = behind.and_then(call)
    return results


async def _simulate_all(client: ChainClient, calls: Sequence[Call], behind: Behind) -> list[SimulationResult]:
    """All calls in one request, repeated until every touched balance is read and every gas limit holds."""
    watched: list[list[Pair]] = [_extended([], guess(call.sender, call.to, call.data)) for call in calls]
    limits = [call.gas_limit for call in calls]
    # where gas pays for more than execution (a share of L1, pubdata), only the node's own estimate knows how much
    alone = calls[0] if len(calls) == 1 and calls[0].gas_limit is None else None
    ran, estimated = await _run(client, behind, calls, watched, alone)
    for _ in range(MAX_TRIES):
        seen = [_extended(pairs, touched(each.logs)) for pairs, each in zip(watched, ran, strict=True)]
        wanted = [_limit(*each, behind.max_gas) for each in zip(calls, limits, ran, strict=True)]
        if seen == watched and all(proven for _, proven in wanted):
            break
        watched, limits = seen, [limit for limit, _ in wanted]
        tried = [replace(call, gas_limit=limit) for call, limit in zip(calls, limits, strict=True)]
        ran, _ = await _run(client, behind, tried, watched, None)
    final = [_limit(*each, behind.max_gas)[0] for each in zip(calls, limits, ran, strict=True)]
    results = [
        _result(client.chain_id, *each, behind.max_gas) for each in zip(calls, final, watched, ran, strict=True)
    ]
    if estimated is not None:
        results[0] = _heeding(estimated, results[0], calls[0], _most(ran[0], behind.max_gas))
    return results


def _heeding(estimated: int, result: SimulationResult, call: Call, most: int) -> SimulationResult:
    """The result with a gas limit that also pays for what the simulation does not see."""
    if result.gas_limit is None:
        return result
    if estimated > most:
        return cannot_fit(estimated, most, SIMULATE)
    return replace(
        result, gas_limit=min(max(result.gas_limit, padded(estimated, call.data, GAS_MARGIN_PERCENT)), most)
    )


async def _run(
    client: ChainClient,
    behind: Behind,
    calls: Sequence[Call],
    watched: Sequence[Sequence[Pair]],
    estimate: Call | None,
) -> tuple[list[Ran], int | None]:
    """What the calls did, and the node's own estimate for `estimate`, in one exchange."""
    plan = Plan(behind.calls, calls, watched)
    questions = [(SIMULATE, plan.params(behind.tag))]
    if estimate is not None:
        questions.append(("eth_estimateGas", [call_object(estimate), behind.tag]))
    answer, *estimates = await client.batch(questions)
    if isinstance(answer, RpcRefused):
        raise answer
    # it does not know what runs before, so it may fail where the simulation does not
    known = [quantity(each, COUNT_BITS) for each in estimates if not isinstance(each, RpcRefused)]
    try:
        return plan.read(answer), known[0] if known else None
    except UnreadableError as error:
        raise Unreadable(str(error)) from error


def _most(ran: Ran, max_gas: int | None) -> int:
    return ran.block_gas_limit if max_gas is None else min(ran.block_gas_limit, max_gas)


def _limit(call: Call, tried: int | None, ran: Ran, max_gas: int | None) -> tuple[int | None, bool]:
    """The gas limit to go on with after a run with the limit `tried`, and whether there is nothing left to prove."""
    if call.gas_limit is not None:
        return call.gas_limit, True
    if tried is None:
        if not ran.succeeded:
            return None, True
        if ran.gas_used == TRANSACTION_GAS and not call.data:
            return TRANSACTION_GAS, True
        if ran.gas_used > _most(ran, max_gas):
            return None, True
        return min(ran.gas_used * GAS_MARGIN_PERCENT // 100, _most(ran, max_gas)), False
    if ran.succeeded or tried >= _most(ran, max_gas):
        return tried, True
    return min(2 * tried, _most(ran, max_gas)), False


def _extended(known: Sequence[Pair], more: Iterable[Pair]) -> list[Pair]:
    # in a fixed order, so that the same simulation reads the same
    new = sorted(set(more).difference(known), key=lambda pair: (pair[1] or b"", pair[0]))
    return [*known, *new][:MAX_PAIRS]


def _result(
    chain_id: int, call: Call, limit: int | None, watched: Sequence[Pair], ran: Ran, max_gas: int | None
) -> SimulationResult:
    if call.gas_limit is not None and call.gas_limit > ran.block_gas_limit:
        return cannot_start(
            "GAS_LIMIT_ABOVE_BLOCK",
            f"gas_limit {call.gas_limit} is above the block's gas limit of {ran.block_gas_limit}",
            SIMULATE,
        )
    if ran.succeeded and call.gas_limit is None and ran.gas_used > _most(ran, max_gas):
        return cannot_fit(ran.gas_used, _most(ran, max_gas), SIMULATE)
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
