"""What other endpoints say against a receipt before its transaction is called final.

One that lies, or that serves a fork, would have us call a payment final that nobody received, and go on above a nonce
that was never used. So whoever answers shows the transaction in its block, or has at least counted its nonce.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from chains.errors import RpcError, RpcRefused
from chains.hexdata import format_data
from chains.nonce_user import Listing, NoList, read_listing
from chains.quantities import COUNT_BITS
from chains.rpc import ChainClient
from intents.answers import Receipt, optional

log = logging.getLogger(__name__)

# who takes longer than that has nothing to say
ANSWER_S: Final = 2.0


@dataclass(frozen=True)
class Claim:
    """A transaction of ours, its nonce, and where one endpoint says that it lies."""

    id: UUID
    nonce: int
    receipt: Receipt


async def disputed(client: ChainClient, address: bytes, claims: Sequence[Claim]) -> set[UUID]:
    """Those that somebody speaks against. Silence says nothing, and an only endpoint is not asked again."""
    endpoints = client.each()
    if len(endpoints) == 1 or not claims:
        return set()
    # one that failed the last time would cost every pass its time-out
    said = await asyncio.gather(*(_disputed_by(each, address, claims) for each in endpoints if not each.is_out))
    return {each for one in said for each in one}


async def _disputed_by(endpoint: ChainClient, address: bytes, claims: Sequence[Claim]) -> list[UUID]:
    numbers = sorted({claim.receipt.block_number for claim in claims})
    try:
        async with asyncio.timeout(ANSWER_S):
            count, *blocks = await endpoint.batch(
                [
                    ("eth_getTransactionCount", [format_data(address), "latest"]),
                    *(("eth_getBlockByNumber", [hex(number), False]) for number in numbers),
                ]
            )
    except (RpcError, TimeoutError) as error:
        log.debug("an endpoint says nothing of what is to be final: %s", error)
        return []
    counted = optional(count, COUNT_BITS)
    shown = {number: _read(block, number) for number, block in zip(numbers, blocks, strict=True)}
    return [claim.id for claim in claims if _contradicts(claim, shown[claim.receipt.block_number], counted)]


def _contradicts(claim: Claim, block: Listing | None, counted: int | None) -> bool:
    if block is not None:
        return block.block_hash != claim.receipt.block_hash or claim.receipt.tx_hash not in block.hashes
    # pruned, or not there yet, or made up: the liar chooses the number
    return counted is not None and counted <= claim.nonce


def _read(block: Any, number: int) -> Listing | None:
    try:
        return None if isinstance(block, RpcRefused) else read_listing(block, number)
    except NoList:
        return None
