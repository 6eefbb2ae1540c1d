"""The local chain as `make serve` leaves it running: kept small for weeks, and the same chain after every kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from anvil.accounts import ACCOUNTS
from anvil.chain import find_binary
from anvil.history import MAX_BLOCKS
from anvil.mining import BLOCK_TIME_S
from anvil.rpc import call
from tests.support.pace import patient
from tests.support.ports import free_port

TO = "0x" + "44" * 20


class Kept:
    """A keeper and its chain. `memory`: the bytes above which it begins anvil anew."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None
        self.said = ""

    def start(self, *further: str) -> None:
        command = [sys.executable, "-m", "anvil.keep", str(find_binary()), str(self.port), str(self.directory)]
        self.process = subprocess.Popen([*command, *further], stderr=subprocess.PIPE, text=True)
        self.until(lambda: self.ask("eth_chainId"))

    def ask(self, method: str, *parameters: Any) -> Any:
        """The answer; None while nobody answers."""
        with suppress(OSError):
            return call(self.url, method, *parameters)
        return None

    def until(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + patient(30)
        while not (found := condition()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found

    def pay(self) -> dict[str, Any]:
        """A transfer, once it is mined: its receipt."""
        sent = call(self.url, "eth_sendTransaction", {"from": ACCOUNTS[0].address, "to": TO, "value": "0x1"})
        receipt: dict[str, Any] = self.until(lambda: self.ask("eth_getTransactionReceipt", sent))
        return receipt

    def count(self, block: str = "latest") -> int:
        return int(call(self.url, "eth_getTransactionCount", ACCOUNTS[0].address, block), 16)

    def height(self) -> int:
        return int(call(self.url, "eth_blockNumber"), 16)

    def saves(self) -> None:
        """Wait for a block from now on to be saved."""
        before = self.saved_at()
        self.until(lambda: self.saved_at() > before)

    def saved_at(self) -> int:
        with suppress(FileNotFoundError):
            return (self.directory / "state.json.gz").stat().st_mtime_ns
        return 0

    def chain_pid(self) -> int:
        """The process of anvil itself."""
        assert self.process is not None
        pid = self.process.pid

        def child() -> list[str]:
            return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

        return int(self.until(child)[0])

    def heard(self) -> str:
        """What the keeper has said so far; it must be there still."""
        assert self.process is not None
        assert self.process.poll() is None
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), False)
        with suppress(BlockingIOError):
            self.said += os.read(self.process.stderr.fileno(), 65_536).decode()
        return self.said

    def end(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        process, self.process = self.process, None
        process.send_signal(how)
        try:
            return process.wait(patient(20))
        finally:
            assert process.stderr is not None
            process.stderr.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    if kept.process is not None:
        kept.end(signal.SIGKILL)


def test_kill_9_takes_anvil_along_and_leaves_the_chain_as_it_was(kept: Kept) -> None:
    kept.start()
    first = call(kept.url, "eth_getBlockByNumber", "0x0", False)["hash"]
    paid = kept.pay()
    call(kept.url, "anvil_setBalance", TO, "0x7")
    kept.saves()
    kept.saves()
    pid = kept.chain_pid()
    kept.end(signal.SIGKILL)
    kept.until(lambda: not Path(f"/proc/{pid}").exists())
    kept.start()
    assert int(call(kept.url, "eth_getBalance", TO, "latest"), 16) == 7
    assert call(kept.url, "eth_getTransactionReceipt", paid["transactionHash"])["blockHash"] == paid["blockHash"]
    assert call(kept.url, "eth_getBlockByHash", first, False)["number"] == "0x0"
    # and it goes on
    assert int(kept.pay()["blockNumber"], 16) > int(paid["blockNumber"], 16)
    assert kept.count() == 2


def test_an_orderly_end_keeps_the_last_moment_too(kept: Kept) -> None:
    kept.start()
    paid = kept.pay()
    call(kept.url, "anvil_setBalance", TO, "0x9")
    assert kept.end() == 0
    kept.start()
    assert int(call(kept.url, "eth_getBalance", TO, "latest"), 16) == 9
    # with what was before: a proof that a nonce was used looks back
    assert kept.count(hex(int(paid["blockNumber"], 16) - 1)) == 0
    assert kept.count(paid["blockNumber"]) == 1
    assert not list(kept.directory.glob("loaded*"))


def test_what_an_earlier_version_left_is_taken_over(kept: Kept) -> None:
    kept.start()
    kept.pay()
    kept.end()
    packed, plain = kept.directory / "state.json.gz", kept.directory / "state.json"
    with plain.open("wb") as file:
        subprocess.run(["gzip", "-dc", str(packed)], stdout=file, check=True)
    packed.unlink()
    kept.start()
    assert kept.count() == 1
    kept.until(packed.exists)
    kept.until(lambda: not plain.exists())


def test_it_begins_anew_before_it_is_large_and_is_the_same_chain(kept: Kept) -> None:
    kept.start("--memory", str(50 * 2**20))
    first = call(kept.url, "eth_getBlockByNumber", "0x0", False)["hash"]
    old = kept.pay()
    call(kept.url, "evm_increaseTime", 1_000)
    pid = kept.chain_pid()
    # as many blocks as come in half a day of nothing, or half an hour of payments
    for _ in range(5):
        call(kept.url, "anvil_mine", hex(400), timeout_s=patient(60))
        young = kept.pay()
    # not while it is busy; then without anybody's doing
    kept.until(lambda: not Path(f"/proc/{pid}").exists())
    height = kept.until(lambda: kept.ask("eth_blockNumber"))
    assert int(height, 16) >= int(young["blockNumber"], 16)
    assert kept.chain_pid() != pid
    # young things are known, old ones forgotten
    assert call(kept.url, "eth_getTransactionReceipt", young["transactionHash"])["blockHash"] == young["blockHash"]
    assert call(kept.url, "eth_getTransactionReceipt", old["transactionHash"]) is None
    assert call(kept.url, "eth_getBlockByNumber", hex(int(height, 16) - MAX_BLOCKS - 70), False) is None
    # who it is, what it holds, what time it has, and what the engine asks of it
    assert call(kept.url, "eth_getBlockByHash", first, False)["number"] == "0x0"
    assert kept.count() == 6
    for back in range(1, 11):
        assert kept.count(hex(int(young["blockNumber"], 16) - back)) == 5
    assert int(call(kept.url, "eth_getBlockByNumber", "finalized", False)["number"], 16) >= int(height, 16) - 3
    payment = {"from": ACCOUNTS[0].address, "to": TO, "value": "0x1"}
    assert call(kept.url, "eth_simulateV1", {"blockStateCalls": [{"calls": [payment]}]}, "pending")
    assert call(kept.url, "eth_feeHistory", "0x4", "latest", [])["baseFeePerGas"]
    later = kept.pay()
    assert int(call(kept.url, "eth_getBlockByHash", later["blockHash"], False)["timestamp"], 16) > time.time() + 900


def test_whoever_chooses_how_it_mines_has_it(kept: Kept) -> None:
    kept.start()
    kept.until(lambda: kept.height() > 1)
    call(kept.url, "evm_setIntervalMining", 3_600)
    height = kept.height()
    sent = call(kept.url, "eth_sendTransaction", {"from": ACCOUNTS[0].address, "to": TO, "value": "0x1"})
    # that nothing happens takes time to see
    time.sleep(2.5 * BLOCK_TIME_S)
    assert kept.height() == height
    assert call(kept.url, "eth_getTransactionReceipt", sent) is None
    call(kept.url, "evm_setIntervalMining", 0)
    kept.until(lambda: kept.ask("eth_getTransactionReceipt", sent))


def test_it_ends_when_anvil_is_stopped_or_dies(kept: Kept) -> None:
    for how in (signal.SIGSTOP, signal.SIGKILL):
        kept.start()
        os.kill(kept.chain_pid(), how)
        assert kept.process is not None
        assert kept.process.wait(patient(20)) == 1
        kept.process.stderr.close()  # type: ignore[union-attr]  # it was started with a pipe


@pytest.mark.parametrize("found", [b"\x1f\x8b half of it", b""])
def test_a_state_that_cannot_be_read_is_said_in_a_sentence(kept: Kept, found: bytes) -> None:
    (kept.directory / "state.json.gz").write_bytes(found)
    command = [sys.executable, "-m", "anvil.keep", str(find_binary()), str(kept.port), str(kept.directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(30), check=False)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert str(kept.directory) in done.stderr
    assert "Traceback" not in done.stderr
    # nobody throws a chain away for us
    assert (kept.directory / "state.json.gz").read_bytes() == found


def test_what_cannot_be_saved_is_saved_later(kept: Kept) -> None:
    """The chain goes on meanwhile."""
    kept.start()
    kept.saves()
    # a directory where the new file should come stands for a disk that takes nothing
    obstacle = kept.directory / ".state.json.gz.new"
    kept.until(lambda: _made(obstacle))
    paid = kept.pay()
    written = kept.saved_at()
    height = kept.height()
    kept.until(lambda: kept.height() >= height + 2)
    assert kept.saved_at() == written
    obstacle.rmdir()
    kept.saves()
    kept.end(signal.SIGKILL)
    kept.start()
    assert call(kept.url, "eth_getTransactionReceipt", paid["transactionHash"])


def test_a_full_disk_does_not_end_a_chain_that_should_begin_anew(kept: Kept) -> None:
    """What could not be saved would be lost with it."""
    kept.start("--memory", str(50 * 2**20))
    kept.saves()
    obstacles = [kept.directory / ".state.json.gz.new", kept.directory / "loaded.json"]
    for obstacle in obstacles:
        kept.until(lambda obstacle=obstacle: _made(obstacle))  # type: ignore[misc]  # bound now
    paid, pid = kept.pay(), kept.chain_pid()
    for _ in range(5):
        call(kept.url, "anvil_mine", hex(400), timeout_s=patient(60))
    # it comes to want it, says why it does not, and goes on
    kept.until(lambda: "not begun anew: Is a directory" in kept.heard())
    assert kept.chain_pid() == pid
    assert kept.pay()
    assert call(kept.url, "eth_getTransactionReceipt", paid["transactionHash"])
    for obstacle in obstacles:
        obstacle.rmdir()
    count = kept.count()
    kept.until(lambda: not Path(f"/proc/{pid}").exists())
    kept.until(lambda: kept.ask("eth_blockNumber"))
    assert kept.count() == count


def _made(directory: Path) -> bool:
    try:
        directory.mkdir()
    except FileExistsError:
        return False
    return True
