"""Read a node's answers strictly: what cannot be read is no answer, never a wrong one. Pure."""

from dataclasses import dataclass
from typing import Any

from chains.errors import RpcError, RpcUnavailable
from chains.quantities import AMOUNT_BITS, COUNT_BITS, quantity

UNREADABLE = "the node answers what cannot be read"


@dataclass(frozen=True)
class Receipt:
    """A transaction in a block; amounts in wei."""

    tx_hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int
    effective_gas_price: int
    succeeded: bool


def hash32(answer: Any) -> bytes:
    """A 32-byte hash; RpcUnavailable for anything else."""
    if not isinstance(answer, str) or len(answer) != 66:
        raise RpcUnavailable(UNREADABLE)
    try:
        return bytes.fromhex(answer[2:])
    except ValueError:
        raise RpcUnavailable(UNREADABLE) from None


def receipt(answer: Any) -> Receipt | None:
    """A receipt, or None when there is none (yet); RpcError when the node refuses or answers unreadably."""
    fields = _object(answer)
    if fields is None or fields.get("blockNumber") is None:
        return None
    return Receipt(
        tx_hash=hash32(fields.get("transactionHash")),
        block_number=quantity(fields.get("blockNumber"), COUNT_BITS),
        block_hash=hash32(fields.get("blockHash")),
        gas_used=quantity(fields.get("gasUsed"), COUNT_BITS),
        effective_gas_price=quantity(fields.get("effectiveGasPrice", "0x0"), AMOUNT_BITS),
        succeeded=quantity(fields.get("status", "0x1"), COUNT_BITS) == 1,
    )


def block_hash(answer: Any) -> bytes | None:
    """The hash of a block, or None when the node has none of that number."""
    fields = _object(answer)
    return None if fields is None else hash32(fields.get("hash"))


def _object(answer: Any) -> dict[str, Any] | None:
    if isinstance(answer, RpcError):
        raise answer
    if answer is not None and not isinstance(answer, dict):
        raise RpcUnavailable(UNREADABLE)
    return answer
