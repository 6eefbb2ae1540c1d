"""Starting and stopping the local chain."""

import pytest

from anvil import chain
from anvil.errors import AnvilError
from anvil.rpc import call
from tests.support.ports import free_port


def test_a_taken_port_is_said_plainly() -> None:
    port = free_port()
    process = chain.start(chain.find_binary(), port, block_time_s=None)
    try:
        with pytest.raises(AnvilError, match=str(port)):
            chain.start(chain.find_binary(), port, block_time_s=None)
    finally:
        chain.stop(process)


def test_it_is_the_chain_we_think_it_is() -> None:
    port = free_port()
    process = chain.start(chain.find_binary(), port)
    try:
        url = f"http://127.0.0.1:{port}"
        assert int(call(url, "eth_chainId"), 16) == chain.CHAIN_ID
        block = call(url, "eth_getBlockByNumber", "latest", False)
        assert int(block["gasLimit"], 16) == chain.BLOCK_GAS_LIMIT
        with pytest.raises(AnvilError, match="eth_nothing"):
            call(url, "eth_nothing")
    finally:
        chain.stop(process)
