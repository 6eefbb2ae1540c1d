"""The plainer simulation for a node without eth_simulateV1: does a call go through, and with how much gas?"""

from collections.abc import Sequence
from typing import Final

from chains.errors import RpcRefused, Unreadable
from chains.quantities import COUNT_BITS, quantity
from chains.refusals import dislikes_pending
from chains.rpc import ChainClient
from chains.simulation import Call, call_object
from chains.simulation_result import SimulationResult, cannot_fit, cannot_start, from_refusal, padded

PLAINLY: Final = "eth_call, eth_estimateGas"


async def simulate_plainly(
    client: ChainClient,
    call: Call,
    prior: Sequence[Call],
    *,
    margin_percent: int,
    max_gas: int | None = None,
    tag: str = "pending",
) -> SimulationResult:
    """Ask eth_call and eth_estimateGas, on the state of `tag`; `method` names what stays unknown.

    Raises RpcError as `chains.simulate.simulate` does, RpcRefused where the node does not know such a state.
    """
    unapplied = f"; {len(prior)} earlier transactions of this wallet not applied" if prior else ""
    method = f"{PLAINLY}; balance changes unknown{unapplied}"
    request = [call_object(call), tag]
    answers = await client.batch([("eth_call", request), ("eth_estimateGas", request)])
    for answer in answers:
        if isinstance(answer, RpcRefused):
            if tag == "pending" and dislikes_pending(answer):
                raise answer
            return from_refusal(answer, method, ())
    if not isinstance(answers[0], str) or not answers[0].startswith("0x"):
        raise Unreadable("the node answered something that is not what a call returns")
    gas = quantity(answers[1], COUNT_BITS)
    if max_gas is not None and gas > max_gas:
        return cannot_fit(gas, max_gas, method)
    enough = padded(gas, call.data, margin_percent)
    limit = call.gas_limit or (enough if max_gas is None else min(enough, max_gas))
    return SimulationResult(status="success", gas_used=gas, method=method, gas_limit=limit)


def unchained() -> SimulationResult:
    """For the later calls of a bundle: a node that cannot run them behind the first says nothing about them."""
    return cannot_start(
        "SIMULATION_UNSUPPORTED",
        "this chain's node cannot run a transaction on the state that another leaves (it lacks eth_simulateV1)",
        "none",
    )
