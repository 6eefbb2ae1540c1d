"""What a simulation says, and how a node's refusal reads as one. [pure]"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from chains.errors import RpcRefused, RpcUnavailable
from chains.gas import TRANSACTION_GAS
from chains.reverts import clean, is_revert, reason_of
from chains.send_errors import SendOutcome, classify

# The machine-readable names of the refusals people meet
_REFUSALS: Final = (
    (re.compile(r"insufficient.?(funds|balance)|overshot", re.IGNORECASE), "INSUFFICIENT_FUNDS"),
    (re.compile(r"intrinsic|floor data gas", re.IGNORECASE), "INTRINSIC_GAS_TOO_LOW"),
    (re.compile(r"gas", re.IGNORECASE), "GAS"),
)


@dataclass(frozen=True, slots=True)
class BalanceChange:
    """One holder's change in one currency, in its smallest unit; `token` is None for the native coin.

    `decimals` of it make a whole coin or token; None where the token does not say. The transaction's own fee is not
    in it.
    """

    address: bytes
    token: bytes | None
    token_symbol: str
    decimals: int | None
    before: int
    after: int
    change: int


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """What a call would do; `method` says how that is known, and what is not.

    "reverted": the contract says no, and why; "error": it cannot even be executed (no funds, too little gas).
    `gas_limit` is what to give it, set on success only.
    """

    status: Literal["success", "reverted", "error"]
    gas_used: int
    revert_reason: str | None = None
    error_code: str | None = None
    error: str | None = None
    balance_changes: list[BalanceChange] = field(default_factory=list)
    method: str = ""
    gas_limit: int | None = None


def recommended_gas(result: SimulationResult) -> int:
    """A gas limit with which the simulated call went through, with room; ValueError unless it succeeded."""
    if result.gas_limit is None:
        raise ValueError("no gas limit is known for a call that does not succeed")
    return result.gas_limit


def padded(gas: int, data: bytes, margin_percent: int) -> int:
    """Room above what a call takes, for what changes until the block; a plain transfer takes what it takes."""
    return gas if gas == TRANSACTION_GAS and not data else gas * margin_percent // 100


def cannot_fit(gas: int, most: int, method: str) -> SimulationResult:
    """The call takes more gas than any transaction may be given."""
    reason = f"it takes {gas} gas, above the {most} that a transaction may be given on this chain"
    return cannot_start("GAS_ABOVE_MOST", reason, method)


def reverted(reason: str, gas_used: int, method: str) -> SimulationResult:
    """The execution itself failed, for `reason`."""
    return SimulationResult(
        status="reverted",
        gas_used=gas_used,
        revert_reason=reason,
        error_code="EXECUTION_REVERTED",
        error=f"execution reverted: {reason}",
        method=method,
    )


def cannot_start(code: str, error: str, method: str) -> SimulationResult:
    """The execution never began; `code` is for programs, `error` for people."""
    return SimulationResult(status="error", gas_used=0, error_code=code, error=error, method=method)


def from_refusal(refused: RpcRefused, method: str, prior: Sequence[object]) -> SimulationResult:
    """A node's refusal as a result: a revert with its reason, or why the call cannot start, perhaps for `prior`.

    RpcUnavailable for what is not about the call but the node's own trouble: that must not count against the call.
    """
    if is_revert(refused.code, refused.message, refused.data):
        return reverted(reason_of(refused.message, refused.data), 0, method)
    if classify(refused.code, refused.message) is not SendOutcome.REFUSED:
        raise RpcUnavailable(f"the node cannot simulate: {refused}") from refused
    code = next((code for pattern, code in _REFUSALS if pattern.search(refused.message)), "REFUSED")
    behind = f" (behind {len(prior)} earlier transactions of this wallet)" if prior else ""
    return cannot_start(code, f"{clean(refused.message)}{behind}", method)
