"""A block that was seen is taken back when no endpoint has it; one that has it settles that at once."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from chains.defaults import DEFAULT_CHAINS
from chains.errors import RpcUnavailable
from chains.rpc import ChainClient
from intents.gone import gone
from tests.support.faulty_rpc import Answer, Delay, Drop, Fault, FaultyRpc
from tests.support.pace import patient

(CHAIN,) = (chain for chain in DEFAULT_CHAINS if chain.name == "base")
WAS = b"\x11" * 32
OURS, ANOTHER, NONE = Answer({"hash": f"0x{WAS.hex()}"}), Answer({"hash": "0x" + "22" * 32}), Answer(None)


async def is_gone(*blocks: Fault, timeout_s: float = 20.0) -> bool:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(FaultyRpc()) for _ in blocks]
        for node, block in zip(nodes, blocks, strict=True):
            node.faults |= {"eth_chainId": Answer(hex(CHAIN.chain_id)), "eth_getBlockByNumber": block}
        client = ChainClient(CHAIN.chain_id, [node.url for node in nodes], timeout_s)
        stack.push_async_callback(client.close)
        return await gone(client, CHAIN, 7, WAS)


@pytest.mark.parametrize("other", [ANOTHER, NONE])
async def test_who_has_the_block_settles_it_whoever_hangs(other: Fault) -> None:
    async with asyncio.timeout(patient(30)):
        assert not await is_gone(other, Delay(seconds=600), OURS, timeout_s=600)


async def test_it_takes_another_block_and_nobody_who_has_it() -> None:
    assert await is_gone(NONE, ANOTHER, Drop(forward=False))
    assert not await is_gone(NONE, Drop(forward=False))
    with pytest.raises(RpcUnavailable):
        await is_gone(Drop(forward=False), Drop(forward=False))
