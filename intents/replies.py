"""What the transaction routes answer, as the published schema says it; the bodies themselves are made by `view`."""

from typing import Any, Final, Literal
from uuid import UUID

from pydantic import Field

from intents.restored.replies import RestoredTransaction
from vault.freezes.schemas import FROZEN
from vault.problem_replies import ProblemDetails, or_problem
from vault.restores.schemas import RESTORED
from vault.schemas import Reply, Timestamp


class ReceiptReply(Reply):
    """What the chain made of a transaction; gas prices in wei as text, what no node has said or proven left out."""

    block_number: int
    block_hash: str
    gas_used: int | None = None
    effective_gas_price: str | None = None
    status: Literal["success", "reverted"] | None = None
    final: bool


class PlainTransactionReply(Reply):
    """A transaction in the contract's fields; amounts in wei as text."""

    id: UUID
    agent_id: UUID
    chain: str
    chain_id: int
    to: str
    value_wei: str
    status: Literal["pending", "signed", "sign_only", "broadcast", "failed", "simulation_failed"]
    signed_tx: str | None = None
    tx_hash: str | None = None
    error_message: str | None = None
    created_at: Timestamp
    signed_at: Timestamp | None = None
    simulation_id: str | None = None
    simulation_status: str | None = None
    max_fee_per_gas: str | None = None
    max_priority_fee_per_gas: str | None = None


class TransactionReply(PlainTransactionReply):
    """A transaction, and what is there only when `?include=` asks for it."""

    sender: str | None = Field(default=None, alias="from")
    nonce: int | None = None
    type: int | None = None
    gas_limit: int | None = None
    gas_price: str | None = None
    receipt: ReceiptReply | None = None


class SimulationFailedReply(PlainTransactionReply):
    """422 of a submission: the transaction as it is kept, with its own `status`, and what a problem says."""

    status: Literal["simulation_failed"]
    type: Literal["about:blank"]
    title: str
    detail: str


class NotSimulated(ProblemDetails):
    """422 of a signature: how its simulation ended."""

    simulation_status: str


class TransactionListReply(Reply):
    """A page of transactions, newest first."""

    transactions: list[TransactionReply]


class SignedReply(Reply):
    """A transaction that was signed and not sent."""

    signed_tx: str
    tx_hash: str
    sender: str = Field(alias="from")
    to: str
    chain: str
    chain_id: int
    nonce: int
    value_wei: str
    status: Literal["sign_only"]
    simulation_id: str | None = None
    simulation_status: str | None = None
    max_fee_per_gas: str | None = None
    max_priority_fee_per_gas: str | None = None


class BalanceChangeReply(Reply):
    """One holder's change in one currency, in whole coins or tokens; `token` is `native` or a contract.

    With `?include=raw` the same in the smallest unit.
    """

    address: str
    token: str
    token_symbol: str
    before: str
    after: str
    change: str
    before_raw: str | None = None
    after_raw: str | None = None
    change_raw: str | None = None


class SimulationReply(Reply):
    """What a transaction would do."""

    simulation_id: str
    status: Literal["success", "reverted", "error"]
    gas_used: int
    balance_changes: list[BalanceChangeReply]
    error: str | None = None
    error_code: str | None = None
    error_human_readable: str | None = None
    revert_reason: str | None = None
    simulated_at: Timestamp


class BundleReply(Reply):
    """One simulation per transaction, in their order."""

    simulations: list[SimulationReply]


class WalletStopped(ProblemDetails):
    """409: somebody else has signed with the wallet's key; `detail` says what is known, a human opens it."""

    type: Literal["wallet_stopped"]
    stopped_at: Timestamp


STOPPED: Final[dict[int | str, dict[str, Any]]] = {
    409: {
        "model": WalletStopped | RestoredTransaction | ProblemDetails,
        "description": "It clashes with what is in flight or on chain already, or the wallet is stopped",
    }
}
SUBMISSION_REFUSED: Final[dict[int | str, dict[str, Any]]] = (
    FROZEN
    | RESTORED
    | STOPPED
    | {
        422: {
            "model": SimulationFailedReply | ProblemDetails,
            "description": "It would revert, or could never be mined",
        }
    }
)
SIGNATURE_REFUSED: Final[dict[int | str, dict[str, Any]]] = (
    FROZEN | RESTORED | STOPPED | {422: or_problem(NotSimulated, "It would revert, or could never be mined")}
)
