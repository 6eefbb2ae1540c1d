"""What other endpoints show of a block in which one of them says that a transaction of ours lies.

One that lies, or that serves a fork, would have us call a payment final that nobody received, and go on above a nonce
that was never used. So final takes that nobody who shows the whole block leaves the transaction out.
"""

import asyncio
import logging
from typing import Final

from chains.errors import RpcError
from chains.nonce_user import Listing, NoList, listing
from chains.rpc import ChainClient
from intents.answers import Receipt

log = logging.getLogger(__name__)

# who takes longer than that has nothing to say
ANSWER_S: Final = 2.0


class Others:
    """The endpoints of a chain that did not fail, each asked once per block; with one endpoint nobody is asked."""

    def __init__(self, client: ChainClient) -> None:
        self._endpoints = [each for each in client.each() if not each.is_out] if len(client.each()) > 1 else []
        self._listed: dict[int, list[Listing | None]] = {}

    async def contradict(self, known: Receipt) -> bool:
        """Does anybody show another block at its place, or one without the transaction? Silence says nothing."""
        if known.block_number not in self._listed:
            self._listed[known.block_number] = list(
                await asyncio.gather(*(_listed(each, known.block_number) for each in self._endpoints))
            )
        return any(
            block is not None and (block.block_hash != known.block_hash or known.tx_hash not in block.hashes)
            for block in self._listed[known.block_number]
        )


async def _listed(endpoint: ChainClient, number: int) -> Listing | None:
    try:
        async with asyncio.timeout(ANSWER_S):
            return await listing(endpoint, number, named=False)
    except (RpcError, NoList, TimeoutError) as error:
        log.debug("an endpoint does not show block %d: %s", number, error)
        return None
