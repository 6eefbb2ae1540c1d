"""Read a node's answers strictly: what is missing or cannot be read is unknown, never a default. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chains.errors import RpcError, RpcRefused, Unreadable
from chains.quantities import AMOUNT_BITS, COUNT_BITS, PRICE_BITS, quantity

UNREADABLE = "the node answers what cannot be read"
# a block's time is at most seconds ahead of ours; further away it would count a spend for ever
MAX_AHEAD: Final = timedelta(minutes=15)


@dataclass(frozen=True)
class Receipt:
    """A transaction in a block; amounts in wei, None is unknown.

    `has_state_root` says that it has the form from before EIP-658, in which nothing says whether the call succeeded.
    """

    tx_hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int | None
    effective_gas_price: int | None
    succeeded: bool | None
    has_state_root: bool = False


@dataclass(frozen=True)
class Block:
    """What a block's header says about what is in it; `base_fee` in wei per gas, None is unknown or none."""

    at: datetime | None
    base_fee: int | None


def hash32(answer: Any) -> bytes:
    """A 32-byte hash; Unreadable for anything else."""
    if not isinstance(answer, str) or len(answer) != 66 or not answer.startswith("0x"):
        raise Unreadable(UNREADABLE)
    try:
        return bytes.fromhex(answer[2:])
    except ValueError:
        raise Unreadable(UNREADABLE) from None


def receipt(answer: Any, asked: bytes) -> Receipt | None:
    """The receipt of the transaction `asked` for, or None when there is none (yet).

    RpcRefused when the node refuses, Unreadable when it is another transaction's or does not say in which block.
    """
    fields = _object(answer)
    if fields is None or fields.get("blockNumber") is None:
        return None
    if hash32(fields.get("transactionHash")) != asked:
        raise Unreadable("the node answers with the receipt of another transaction")
    status = optional(fields.get("status"), COUNT_BITS)
    return Receipt(
        tx_hash=asked,
        block_number=quantity(fields.get("blockNumber"), COUNT_BITS),
        block_hash=hash32(fields.get("blockHash")),
        gas_used=optional(fields.get("gasUsed"), COUNT_BITS),
        effective_gas_price=optional(fields.get("effectiveGasPrice"), AMOUNT_BITS),
        succeeded={0: False, 1: True}.get(-1 if status is None else status),
        has_state_root=isinstance(fields.get("root"), str) and len(fields["root"]) == 66,
    )


def block(answer: Any, now: datetime) -> Block | None:
    """The header of a block, or None when the node has no such block; what is odd about it is unknown."""
    if answer is None:
        return None
    if not isinstance(answer, dict):
        return Block(None, None)
    return Block(
        _time(optional(answer.get("timestamp"), COUNT_BITS), now), optional(answer.get("baseFeePerGas"), PRICE_BITS)
    )


def block_hash(answer: Any) -> bytes | None:
    """The hash of a block, or None when the node has none of that number."""
    fields = _object(answer)
    return None if fields is None else hash32(fields.get("hash"))


def optional(answer: Any, bits: int) -> int | None:
    """A number below 2**bits that may be missing; None when it is, or when it cannot be read."""
    try:
        return quantity(answer, bits)
    except (Unreadable, RpcRefused):
        return None


def _time(seconds: int | None, now: datetime) -> datetime | None:
    if seconds is None:
        return None
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return at if at <= now + MAX_AHEAD else None


def _object(answer: Any) -> dict[str, Any] | None:
    if isinstance(answer, RpcError):
        raise answer
    if answer is not None and not isinstance(answer, dict):
        raise Unreadable(UNREADABLE)
    return answer
