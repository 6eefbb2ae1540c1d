"""Starting and stopping the local chain."""

import os
import signal
import time
from pathlib import Path

import pytest

from anvil import chain
from anvil.errors import AnvilError
from anvil.rpc import call
from tests.support.pace import patient
from tests.support.ports import free_port


def test_state_survives_a_kill(tmp_path: Path) -> None:
    port, state = free_port(), tmp_path / "state.json"
    url = f"http://127.0.0.1:{port}"
    process = chain.start(chain.find_binary(), port, state)
    address = "0x" + "44" * 20
    call(url, "anvil_setBalance", address, "0x7")
    written = state.stat().st_mtime_ns if state.exists() else 0
    deadline = time.monotonic() + patient(15)
    # two writes later the change is certainly in one of them
    for _ in range(2):
        while not state.exists() or state.stat().st_mtime_ns == written:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        written = state.stat().st_mtime_ns
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process = chain.start(chain.find_binary(), port, state)
    assert int(call(url, "eth_getBalance", address, "latest"), 16) == 7
    chain.stop(process)
    assert process.returncode is not None


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
