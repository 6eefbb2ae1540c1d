"""Whether a block that we saw is gone: the word of one node is not enough to take back what was seen mined."""

import asyncio

from chains.chain import Chain
from chains.defaults import ANVIL
from chains.errors import RpcError
from chains.rpc import ChainClient
from intents.answers import block_hash


async def gone(client: ChainClient, chain: Chain, number: int | None, was: bytes) -> bool:
    """Is a block that we saw proven to be no longer part of the chain?

    Another block has its number now, and no endpoint that answers still has the old one. A node that has no block of
    that number may only lag; the local chain, which has one node, has lost it. RpcError when no endpoint answers.
    """
    assert number is not None
    asked = [asyncio.create_task(_hash_at(each, number)) for each in client.each()]
    there: list[bytes | None] = []
    trouble: RpcError | None = None
    try:
        for answer in asyncio.as_completed(asked):
            try:
                found = await answer
            except RpcError as error:
                trouble = error
                continue
            if found == was:
                # this is asked for each transaction, and an endpoint that hangs would cost its time-out each time
                return False
            there.append(found)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    if trouble is not None and not there:
        raise trouble
    return any(each is not None for each in there) or chain.chain_id == ANVIL.chain_id


async def _hash_at(client: ChainClient, number: int) -> bytes | None:
    return block_hash(await client.call("eth_getBlockByNumber", [hex(number), False]))
