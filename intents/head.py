"""Where a chain and a wallet stand on it, from one endpoint at one moment."""

from dataclasses import dataclass
from typing import Any

from chains.chain import Chain
from chains.quantities import COUNT_BITS
from chains.rpc import ChainClient
from intents.answers import optional


@dataclass(frozen=True)
class Head:
    """`mined_nonce` is how many transactions of the wallet are in blocks, None when the node does not say.

    `final_block` is the newest final one, -1 when nothing is known to be final.
    """

    mined_nonce: int | None
    final_block: int


async def head(client: ChainClient, chain: Chain, address: bytes) -> Head:
    """Ask the node; a chain without the `finalized` tag has its number of confirmations instead."""
    mined, latest, finalized = await client.batch(
        [
            ("eth_getTransactionCount", [f"0x{address.hex()}", "latest"]),
            ("eth_blockNumber", []),
            ("eth_getBlockByNumber", ["finalized", False]),
        ]
    )
    return Head(optional(mined, COUNT_BITS), final_block(chain, latest, finalized))


def final_block(chain: Chain, latest: Any, finalized: Any) -> int:
    """The newest final block by a node's answers to eth_blockNumber and to eth_getBlockByNumber("finalized")."""
    newest = optional(latest, COUNT_BITS)
    if newest is None:
        return -1
    if not isinstance(finalized, dict):
        return max(newest - chain.confirmations, 0)
    named = optional(finalized.get("number"), COUNT_BITS)
    if named is None:
        return -1
    # some nodes name block 0 as long as they know of no final one
    return min(named, newest) if named > 0 else max(newest - chain.confirmations, 0)
