"""What the chain made of a transaction, where its receipt leaves something out: proven, or unknown."""

from datetime import UTC, datetime
from typing import Any

from chains.errors import RpcError, RpcRefused, Unreadable
from chains.hexdata import format_data
from chains.quantities import COUNT_BITS
from chains.rpc import ChainClient
from chains.transactions import LegacyTransaction, Transaction
from intents.answers import Block, Receipt, block, optional

_TRACER = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}


async def block_of(client: ChainClient, receipt: Receipt) -> Block | None:
    """The header of the receipt's block; None when a reorganisation took it between two questions."""
    try:
        answer = await client.call("eth_getBlockByHash", [f"0x{receipt.block_hash.hex()}", False])
    except (RpcRefused, Unreadable):
        # the receipt is there all the same: only the block's time and base fee stay unknown
        return Block(None, None)
    return block(answer, datetime.now(UTC))


def price_paid(receipt: Receipt, tx: Transaction, base_fee: int | None) -> int | None:
    """What a unit of gas cost, in wei: as the receipt says, else by the rules of EIP-1559; None is unknown."""
    if receipt.effective_gas_price is not None:
        return receipt.effective_gas_price
    if isinstance(tx, LegacyTransaction):
        return tx.gas_price
    if base_fee is None or base_fee > tx.max_fee_per_gas:
        return None
    return min(tx.max_fee_per_gas, base_fee + tx.max_priority_fee_per_gas)


async def has_succeeded(
    client: ChainClient, receipt: Receipt, tx: Transaction, sender: bytes, base_fee: int | None
) -> bool | None:
    """Whether the call went through: by the receipt, a trace, or an old chain's rules; None is unknown."""
    if receipt.succeeded is not None:
        return receipt.succeeded
    try:
        trace = await client.call("debug_traceTransaction", [f"0x{receipt.tx_hash.hex()}", _TRACER])
    except RpcError:
        trace = None
    traced = _traced(trace, tx, sender)
    if traced is not None:
        return traced
    return True if _by_old_rules(receipt, tx, base_fee) else None


def _traced(frame: Any, tx: Transaction, sender: bytes) -> bool | None:
    """What the outermost call of a trace says, where it is this transaction's and ran to its end."""
    if not isinstance(frame, dict) or optional(frame.get("gasUsed"), COUNT_BITS) is None:
        return None
    told = [str(frame.get(name)).lower() for name in ("from", "to", "input")]
    if told != [format_data(sender), format_data(tx.to), format_data(tx.data)]:
        return None
    return frame.get("error") is None


def _by_old_rules(receipt: Receipt, tx: Transaction, base_fee: int | None) -> bool:
    """Before Byzantium, whose receipts have a state root and no status, there was no REVERT: failing took all gas."""
    return (
        receipt.has_state_root
        and base_fee is None
        and isinstance(tx, LegacyTransaction)
        and receipt.gas_used is not None
        and receipt.gas_used < tx.gas_limit
    )
