"""Where on the chain a nonce was used up, and by what, by one node's word; what that proves is for others to say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chains.errors import BadHex, RpcRefused, Unreadable
from chains.hexdata import format_data, parse_data
from chains.quantities import COUNT_BITS, parse_quantity, quantity
from chains.rpc import ChainClient

# No chain is that high; it bounds the search to 2 * 31 + 2 questions
_MAX_BLOCK_BITS: Final = 31
# Legacy, EIP-2930, -1559, -4844, -7702, ZKsync's EIP-712: those whose nonce is their sender's. Rollups also mine
# messages from L1 (OP 0x7e, Arbitrum 0x64 to 0x6a, ZKsync 0xff), whose nonce field may count something else
_SIGNED_TYPES: Final = frozenset({0, 1, 2, 3, 4, 0x71})
# The root of a block without transactions: keccak256(rlp(b"")); zeros where a chain keeps no such root (ZKsync)
_EMPTY_ROOTS: Final = frozenset(
    {"0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421", "0x" + "00" * 32}
)


class NotUsedYet(Unreadable):
    """The account's count has not passed the nonce at the block that was given."""


class NoState(Unreadable):
    """The node does not have the state that the search needs, or what it says of it makes no sense."""


class NoList(Unreadable):
    """The node does not give the complete list of a block's transactions."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A block by one node: its hash, and all that is in it; an item is a transaction's object, or its hash alone."""

    number: int
    block_hash: bytes
    hashes: frozenset[bytes]
    items: tuple[Mapping[str, Any], ...]


async def block_that_used(client: ChainClient, address: bytes, nonce: int, final_block: int) -> int:
    """The block in which the account's count passes `nonce`, at most `final_block`.

    NotUsedYet when it has not by then, NoState for a node without the historical state and for answers that make
    no sense; RpcUnavailable or WrongChain when no node answers. At most about 65 calls, far fewer when the nonce
    was used lately.
    """
    if nonce < 0 or final_block < 0 or final_block.bit_length() > _MAX_BLOCK_BITS:
        raise NoState("no nonce or no block")
    account = format_data(address)

    async def is_used(block: int) -> bool:
        try:
            return quantity(await client.call("eth_getTransactionCount", [account, hex(block)]), COUNT_BITS) > nonce
        except (RpcRefused, Unreadable):
            raise NoState(f"no state of block {block}") from None

    if not await is_used(final_block):
        raise NotUsedYet(f"nonce {nonce} is not used in block {final_block}")
    used, step = final_block, 1
    # Backwards in growing steps: what was used lately is found with the state that a pruned node still has
    while True:
        if used == 0:
            raise NoState("the nonce was always used")
        unused = max(used - step, 0)
        if not await is_used(unused):
            break
        used, step = unused, 2 * step
    while used - unused > 1:
        middle = (used + unused) // 2
        if await is_used(middle):
            used = middle
        else:
            unused = middle
    return used


async def listing(client: ChainClient, number: int, *, named: bool) -> Listing:
    """All that is in a block, `named`: with whose it is; NoList when the node does not say so completely."""
    try:
        return read_listing(await client.call("eth_getBlockByNumber", [hex(number), named]), number)
    except RpcRefused as error:
        raise NoList(str(error)) from None


def read_listing(block: Any, number: int) -> Listing:
    """A node's block of this number; NoList when it is another, or not all of it."""
    try:
        if not isinstance(block, dict) or parse_quantity(block.get("number"), COUNT_BITS) != number:
            raise NoList(f"no block {number}")
        block_hash = _hash(block.get("hash"))
        items = block.get("transactions")
        if not isinstance(items, list) or not all(isinstance(each, dict | str) for each in items):
            raise NoList(f"no transactions of block {number}")
        if not items and str(block.get("transactionsRoot")).lower() not in _EMPTY_ROOTS:
            raise NoList(f"an empty list of block {number}, which is not empty")
        if any(isinstance(each, dict) and _hash(each.get("blockHash")) != block_hash for each in items):
            raise NoList(f"transactions of another block than {number}")
        hashes = [_hash(each.get("hash") if isinstance(each, dict) else each) for each in items]
        if len(set(hashes)) != len(hashes):
            raise NoList(f"transactions of block {number} twice")
        objects = tuple(each for each in items if isinstance(each, dict))
        return Listing(number, block_hash, frozenset(hashes), objects)
    except BadHex as error:
        raise NoList(str(error)) from None


def named_in(block: Listing, address: bytes, nonce: int) -> bytes | None:
    """The hash of the account's transaction with `nonce`, None when no ordinary one is listed.

    NoList for two with one nonce: they contradict each other.
    """
    sender = format_data(address)
    found = [
        _hash(each.get("hash"))
        for each in block.items
        if str(each.get("from")).lower() == sender
        and _is_ordinary(each, block.number)
        and _number(each.get("nonce")) == nonce
    ]
    if len(found) > 1:
        raise NoList(f"two transactions of block {block.number} with one nonce")
    return found[0] if found else None


async def user_of_nonce(client: ChainClient, address: bytes, nonce: int, final_block: int) -> bytes | None:
    """The hash of the mined transaction from `address` with `nonce`, in a block not above `final_block`.

    None when no such one is found, for whatever reason. Raises RpcUnavailable or WrongChain when no node answers.
    """
    try:
        number = await block_that_used(client, address, nonce, final_block)
        return named_in(await listing(client, number, named=True), address, nonce)
    except (NotUsedYet, NoState, NoList):
        return None


def _is_ordinary(transaction: Mapping[str, Any], number: int) -> bool:
    # nodes from before EIP-2718 name no type
    return (
        _number(transaction.get("type", "0x0")) in _SIGNED_TYPES and _number(transaction.get("blockNumber")) == number
    )


def _number(value: object) -> int | None:
    try:
        return parse_quantity(value, COUNT_BITS)
    except BadHex:
        return None


def _hash(value: object) -> bytes:
    if not isinstance(value, str) or len(value) != 66:
        raise NoList("not a hash")
    return parse_data(value, 32)
