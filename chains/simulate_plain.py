"""The plainer simulation for a node without eth_simulateV1: does a call go through, and with how much gas?"""

import re
from collections.abc import Sequence
from typing import Final

from chains.errors import RpcRefused, RpcUnavailable
from chains.quantities import COUNT_BITS, quantity
from chains.reverts import decode_revert, revert_data
from chains.rpc import ChainClient
from chains.simulation import Call, call_object
from chains.simulation_result import SimulationResult, cannot_start, from_refusal, reverted

# EIP-1474's codes, and what nodes make of them
_NO_SUCH_METHOD_CODES: Final = frozenset({-32601, -32602, -32004})
_NO_SUCH_METHOD = re.compile(
    r"(method|simulate).{0,60}(not found|not exist|not supported|not available|not implemented|unknown|disabled)"
    r"|(unsupported|unknown|unrecogni[sz]ed) method",
    re.IGNORECASE,
)
_EXECUTION_FAILED = re.compile(
    r"revert|opcode|out ?of ?gas|evm error|invalid jump|stack (over|under)flow", re.IGNORECASE
)
# go-ethereum's code for a revert that returned data
_REVERT_CODE: Final = 3


def lacks_method(refused: RpcRefused) -> bool:
    """Does the node refuse because it does not offer the method, or not with these parameters?"""
    return refused.code in _NO_SUCH_METHOD_CODES or _NO_SUCH_METHOD.search(refused.message) is not None


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
            return _failure(answer, method)
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


def _failure(refused: RpcRefused, method: str) -> SimulationResult:
    returned = revert_data(refused.data)
    if refused.code == _REVERT_CODE or returned or _EXECUTION_FAILED.search(refused.message):
        return reverted(decode_revert(returned, refused.message), 0, method)
    return from_refusal(refused, method, ())
