"""The test contracts, compiled: Token (ERC-20), Reverter (every way to fail), Forwarder (inner transfers)."""

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

from anvil.accounts import ACCOUNTS
from anvil.errors import AnvilError
from anvil.rpc import call

ARTIFACTS = Path(__file__).with_name("artifacts") / "contracts.json"
DEPLOY_TIMEOUT_S = 20.0


@cache
def artifacts() -> dict[str, dict[str, Any]]:
    """Every contract's `abi` and creation `bytecode` (0x hex)."""
    found: dict[str, dict[str, Any]] = json.loads(ARTIFACTS.read_text())
    return found


def artifact(name: str) -> dict[str, Any]:
    """One contract's `abi` and creation `bytecode` (0x hex); KeyError for an unknown one."""
    return artifacts()[name]


def deploy(rpc_url: str, name: str, sender: str = ACCOUNTS[0].address) -> str:
    """Deploy a contract from one of the chain's own accounts; its address, once mined. AnvilError."""
    tx_hash = call(rpc_url, "eth_sendTransaction", {"from": sender, "data": artifact(name)["bytecode"]})
    deadline = time.monotonic() + DEPLOY_TIMEOUT_S
    while (receipt := call(rpc_url, "eth_getTransactionReceipt", tx_hash)) is None:
        if time.monotonic() > deadline:
            raise AnvilError(f"the deployment of {name} was not mined")
        time.sleep(0.05)
    if int(receipt["status"], 16) != 1:
        raise AnvilError(f"the deployment of {name} failed")
    return str(receipt["contractAddress"])
