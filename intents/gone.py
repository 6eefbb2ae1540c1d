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
    answers = await asyncio.gather(*(_hash_at(each, number) for each in client.each()), return_exceptions=True)
    there: list[bytes | None] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            if not isinstance(answer, RpcError):
                raise answer
        else:
            there.append(answer)
    if not there:
        raise next(each for each in answers if isinstance(each, RpcError))
    if was in there:
        return False
    return any(each is not None for each in there) or chain.chain_id == ANVIL.chain_id


async def _hash_at(client: ChainClient, number: int) -> bytes | None:
    return block_hash(await client.call("eth_getBlockByNumber", [hex(number), False]))
