"""Which transaction used up a nonce: a proof from the chain itself, for nonces that we did not use."""

from collections.abc import Mapping
from typing import Any, Final

from chains.errors import BadHex, RpcRefused
from chains.hexdata import format_data, parse_data
from chains.quantities import COUNT_BITS, parse_quantity
from chains.rpc import ChainClient

# No chain is that high; it bounds the search to 2 * 31 + 2 questions
_MAX_BLOCK_BITS: Final = 31
# Legacy, EIP-2930, -1559, -4844, -7702, ZKsync's EIP-712: those whose nonce is their sender's. Rollups also mine
# messages from L1 (OP 0x7e, Arbitrum 0x64 to 0x6a, ZKsync 0xff), whose nonce field may count something else
_SIGNED_TYPES: Final = frozenset({0, 1, 2, 3, 4, 0x71})


class _UnprovenError(Exception):
    """The node's answers do not add up to a proof."""


async def user_of_nonce(client: ChainClient, address: bytes, nonce: int, final_block: int) -> bytes | None:
    """The hash of the mined transaction from `address` with `nonce`, in a block not above `final_block`.

    None means "not proven": not used yet, used by something else than a transaction (EIP-7702 authorizations use
    nonces too), a node without the historical state, an answer that makes no sense. Raises RpcUnavailable or
    WrongChain when no node answers. At most about 65 calls, far fewer when the nonce was used lately.
    """
    try:
        block = await _block_that_used(client, address, nonce, final_block)
        return _hash_in(await client.call("eth_getBlockByNumber", [hex(block), True]), block, address, nonce)
    except (_UnprovenError, BadHex, RpcRefused):
        return None


async def _block_that_used(client: ChainClient, address: bytes, nonce: int, final_block: int) -> int:
    """The first block behind which the account's nonce is above `nonce`."""
    if nonce < 0 or final_block < 0 or final_block.bit_length() > _MAX_BLOCK_BITS:
        raise _UnprovenError
    account = format_data(address)

    async def is_used(block: int) -> bool:
        count = await client.call("eth_getTransactionCount", [account, hex(block)])
        return parse_quantity(count, COUNT_BITS) > nonce

    if not await is_used(final_block):
        raise _UnprovenError
    used, step = final_block, 1
    # Backwards in growing steps: what was used lately is found with the state that a pruned node still has
    while True:
        if used == 0:
            raise _UnprovenError
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


def _hash_in(block: Any, number: int, address: bytes, nonce: int) -> bytes:
    if not isinstance(block, dict) or parse_quantity(block.get("number"), COUNT_BITS) != number:
        raise _UnprovenError
    transactions = block.get("transactions")
    if not isinstance(transactions, list) or not all(isinstance(each, dict) for each in transactions):
        raise _UnprovenError
    block_hash = _bytes(block.get("hash"), 32)
    sender = format_data(address)
    own = [each for each in transactions if str(each.get("from")).lower() == sender]
    # counted after a strict look at each: two with one nonce contradict each other
    found = [
        _bytes(each.get("hash"), 32)
        for each in own
        if _is_mined_in(each, number, block_hash) and parse_quantity(each.get("nonce"), COUNT_BITS) == nonce
    ]
    if len(found) != 1:
        raise _UnprovenError
    return found[0]


def _is_mined_in(transaction: Mapping[str, Any], number: int, block_hash: bytes) -> bool:
    return (
        # nodes from before EIP-2718 name no type
        parse_quantity(transaction.get("type", "0x0"), COUNT_BITS) in _SIGNED_TYPES
        and parse_quantity(transaction.get("blockNumber"), COUNT_BITS) == number
        and _bytes(transaction.get("blockHash"), 32) == block_hash
    )


def _bytes(value: object, length: int) -> bytes:
    if not isinstance(value, str):
        raise _UnprovenError
    data = parse_data(value, length)
    if len(data) != length:
        raise _UnprovenError
    return data
