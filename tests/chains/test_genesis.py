"""A chain is known by its first block; what an endpoint does not say is no evidence."""

import pytest

from chains.defaults import ANVIL
from chains.errors import WrongGenesis
from chains.rpc import ChainClient
from tests.support.faulty_rpc import Answer, Fault, FaultyRpc, Refuse, Status

OTHER = b"\x11" * 32
BY_NUMBER, BY_HASH = "eth_getBlockByNumber", "eth_getBlockByHash"


def block(hash_: bytes, number: str = "0x0") -> Answer:
    return Answer({"number": number, "hash": f"0x{hash_.hex()}"})


async def test_the_first_block_that_was_seen_is_asked_for(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    (found,) = await faulty_client.geneses()
    assert found is not None
    faulty_client.expect(found)
    assert await faulty_client.call("eth_blockNumber", [])
    faulty.faults[BY_NUMBER] = block(OTHER)
    faulty.faults[BY_HASH] = Answer(None)
    faulty.calls.clear()
    with pytest.raises(WrongGenesis, match="began with another block"):
        await faulty_client.verify_chain()
    # and nothing else reaches it
    with pytest.raises(WrongGenesis):
        await faulty_client.call("eth_sendRawTransaction", ["0x00"])
    assert faulty.count("eth_sendRawTransaction") == 0


async def test_a_chain_that_knows_our_first_block_is_ours(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    """anvil names the block of any of its starts."""
    (found,) = await faulty_client.geneses()
    assert found is not None
    faulty_client.expect(found)
    faulty.faults[BY_NUMBER] = block(OTHER)
    await faulty_client.verify_chain()


@pytest.mark.parametrize(
    "silent",
    [
        Refuse(-32601, "method not found"),
        Answer(None),
        Answer("0x0"),
        Answer({"number": "0x0"}),
        Answer({"number": "0x0", "hash": None}),
        Answer({"number": "0x0", "hash": 7}),
        Answer({"number": "0x0", "hash": "0x11"}),
        Answer({"number": "0x5", "hash": "0x" + "11" * 32}),
        Status(403),
    ],
)
async def test_an_endpoint_that_names_none_is_not_doubted(
    faulty: FaultyRpc, faulty_client: ChainClient, silent: Fault
) -> None:
    faulty.faults[BY_NUMBER] = silent
    assert await faulty_client.geneses() == [None]
    faulty_client.expect(OTHER)
    await faulty_client.verify_chain()
    assert await faulty_client.call("eth_blockNumber", [])


async def test_the_next_endpoint_is_asked(faulty: FaultyRpc, anvil_url: str) -> None:
    faulty.faults[BY_NUMBER] = block(OTHER)
    faulty.faults[BY_HASH] = Answer(None)
    client = ChainClient(ANVIL.chain_id, [faulty.url, anvil_url])
    try:
        other, sound = await client.geneses()
        assert (other, sound is not None) == (OTHER, True)
        client.expect(sound)
        assert await client.call("eth_blockNumber", [])
        assert faulty.count("eth_blockNumber") == 0
    finally:
        await client.close()
