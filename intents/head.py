"""Where a chain and a wallet stand on it, from one endpoint at one moment."""

from dataclasses import dataclass

from chains.chain import Chain
from chains.quantities import COUNT_BITS, quantity
from chains.rpc import ChainClient


@dataclass(frozen=True)
class Head:
    """`mined_nonce` is how many transactions of the wallet are in blocks; `final_block` is the newest final one."""

    mined_nonce: int
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
    final_block = max(quantity(latest, COUNT_BITS) - chain.confirmations, 0)
    if isinstance(finalized, dict) and quantity(finalized.get("number"), COUNT_BITS) > 0:
        final_block = quantity(finalized.get("number"), COUNT_BITS)
    return Head(quantity(mined, COUNT_BITS), final_block)
