"""Transactions of an account as a node shows them, believed only where the account's own key signed them. [pure]

A node may make up anything but a signature: what recovers to the account was signed with its key, for this chain and
nonce, with this value. Types that Talon does not sign itself (access lists, blobs, authorisations) are not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chains.errors import BadHex, BadTransaction
from chains.hexdata import parse_data
from chains.quantities import AMOUNT_BITS, COUNT_BITS, parse_quantity
from chains.transactions import (
    DynamicFeeTransaction,
    LegacyTransaction,
    Transaction,
    decode_signed,
    encode_signed,
    transaction_hash,
)

# no block is further in the future, and what PostgreSQL keeps goes further
MAX_TIME = 2**33
DEPOSIT = 0x7E
# more than any pool takes
MAX_DATA = 2**20


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction in a block, proven to be the account's; `block_at` is the block's own time."""

    transaction: Transaction
    tx_hash: bytes
    block_number: int
    block_at: datetime


def read_sent(item: Any, chain_id: int, address: bytes) -> tuple[Transaction, bytes] | None:
    """The transaction in a node's object and its hash; None where `address` did not sign it for this chain."""
    if not isinstance(item, Mapping) or str(item.get("from")).lower() != f"0x{address.hex()}":
        return None
    try:
        transaction = _fields(item, chain_id)
        raw = encode_signed(transaction, _number(item, "r"), _number(item, "s"), _parity(item, chain_id))
        if decode_signed(raw) != (transaction, address):
            return None
    except (BadHex, BadTransaction):
        return None
    return transaction, transaction_hash(raw)


def is_deposit(item: Any, address: bytes, nonce: int) -> bool:
    """Is it a deposit from the chain below by this account, which used its nonce here without any signature?

    OP chains (type 0x7e): Ethereum's own signature of the same account stands for it.
    """
    if not isinstance(item, Mapping) or str(item.get("from")).lower() != f"0x{address.hex()}":
        return False
    try:
        return parse_quantity(item.get("type"), COUNT_BITS) == DEPOSIT and _number(item, "nonce") == nonce
    except BadHex:
        return False


def block_time(block: Mapping[str, Any]) -> datetime | None:
    """A block's own time, None where it names none that could be."""
    try:
        seconds = parse_quantity(block.get("timestamp"), COUNT_BITS)
    except BadHex:
        return None
    return datetime.fromtimestamp(seconds, UTC) if seconds < MAX_TIME else None


def _fields(item: Mapping[str, Any], chain_id: int) -> Transaction:
    to, data = item.get("to"), item.get("input", item.get("data"))
    if not isinstance(to, str) or not isinstance(data, str):
        raise BadTransaction("no destination or no data")
    common: dict[str, Any] = {
        "chain_id": chain_id,
        "nonce": _number(item, "nonce"),
        "gas_limit": _number(item, "gas"),
        "to": parse_data(to, 20),
        "value": _number(item, "value"),
        "data": parse_data(data, MAX_DATA),
    }
    # nodes from before EIP-2718 name no type
    if (kind := parse_quantity(item.get("type", "0x0"), COUNT_BITS)) == 0:
        return LegacyTransaction(gas_price=_number(item, "gasPrice"), **common)
    if kind != 2 or item.get("accessList") not in ([], None):
        raise BadTransaction("not among what we sign")
    return DynamicFeeTransaction(
        max_fee_per_gas=_number(item, "maxFeePerGas"),
        max_priority_fee_per_gas=_number(item, "maxPriorityFeePerGas"),
        **common,
    )


def _parity(item: Mapping[str, Any], chain_id: int) -> int:
    v = _number(item, "v")
    # EIP-155 in legacy ones; 0 and 1 in typed ones
    return v - 35 - 2 * chain_id if v > 1 else v


def _number(item: Mapping[str, Any], name: str) -> int:
    return parse_quantity(item.get(name), AMOUNT_BITS)
