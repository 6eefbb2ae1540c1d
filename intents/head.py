"""Where a chain and a wallet stand on it, from one endpoint at one moment."""

from dataclasses import dataclass

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
    """Ask the node; one that does not know the `finalized` tag has the chain's number of confirmations instead.

    Who answers decides whether it knows: after a fail-over the next endpoint is not held to what the first one named,
    unless it may only be starting (`chains/finality.py`).
    """
    (mined, _), (latest, _), (finalized, finality) = await client.batch_by(
        [
            ("eth_getTransactionCount", [f"0x{address.hex()}", "latest"]),
            ("eth_blockNumber", []),
            ("eth_getBlockByNumber", ["finalized", False]),
        ]
    )
    return Head(optional(mined, COUNT_BITS), finality.final_block(latest, finalized, chain.confirmations))
