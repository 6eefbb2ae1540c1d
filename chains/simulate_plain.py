"""The plainer simulation for a node without eth_simulateV1: does a call go through, and with how much gas?"""

from collections.abc import Sequence

from chains.errors import RpcRefused, RpcUnavailable
from chains.quantities import COUNT_BITS, quantity
from chains.rpc import ChainClient
from chains.simulation import Call, call_object
from chains.simulation_result import SimulationResult, cannot_start, from_refusal


async def simulate_plainly(
    client: ChainClient, call: Call, prior: Sequence[Call], margin_percent: int
) -> SimulationResult:
    """Ask eth_call and eth_estimateGas, on the pending state; `method` names what stays unknown.

    Raises RpcError as `chains.simulate.simulate` does.
    """
    unapplied = f"; {len(prior)} earlier transactions of this wallet not applied" if prior else ""
    method = f"eth_call, eth_estimateGas; balance changes unknown{unapplied}"
    request = [call_object(call), "pending"]
    answers = await client.batch([("eth_call", request), ("eth_estimateGas", request)])
    for answer in answers:
        if isinstance(answer, RpcRefused):
            return from_refusal(answer, method, ())
    if not isinstance(answers[0], str) or not answers[0].startswith("0x"):
        raise RpcUnavailable("the node answered something that is not what a call returns")
    gas = quantity(answers[1], COUNT_BITS)
    padded = gas if not call.data and gas == 21_000 else gas * margin_percent // 100
    return SimulationResult(status="success", gas_used=gas, method=method, gas_limit=call.gas_limit or padded)


def unchained() -> SimulationResult:
    """For the later calls of a bundle: a node that cannot run them behind the first says nothing about them."""
    return cannot_start(
        "SIMULATION_UNSUPPORTED",
        "this chain's node cannot run a transaction on the state that another leaves (it lacks eth_simulateV1)",
        "none",
    )
