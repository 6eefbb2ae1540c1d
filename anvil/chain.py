"""Start anvil: the platform's binary itself, because npm's Node wrapper leaves dead children behind.

Under concurrent senders anvil's automine livelocks, so only unit tests use it; everything else mines a block a
second with room for thousands of transactions. What `make serve` leaves running is kept small by `anvil.keep`.
"""

import platform
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from anvil.errors import AnvilError
from anvil.rpc import call

CHAIN_ID = 31337
BLOCK_GAS_LIMIT = 300_000_000
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
# Linux's means that a child does not outlive its parent, not even after kill -9
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL") if sys.platform == "linux" else ()
NODE_MODULES = Path(__file__).resolve().parent.parent / "node_modules"

MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def find_binary() -> Path:
    """The binary that the set-up installed for this platform; AnvilError when it is not there."""
    package = f"anvil-{sys.platform}-{MACHINES.get(platform.machine().lower(), 'unknown')}"
    binary = NODE_MODULES / "@foundry-rs" / package / "bin" / "anvil"
    if not binary.exists():
        raise AnvilError(f"{package} is not installed: run make setup, or set TALON_ANVIL_PORT=0 for no local chain")
    return binary


def command(
    binary: Path,
    port: int,
    block_time_s: int | None,
    chain_id: int = CHAIN_ID,
    begins_at: int | None = None,
    keep_states: int | None = None,
    loads: Path | None = None,
) -> list[str]:
    """The command line. `block_time_s` None: a block per transaction, or none by itself with `keep_states`.

    `begins_at` (Unix seconds) is the time of block 0 and makes it the same at every start; None: now. `keep_states`
    is how many blocks back it knows the accounts: with a block time of up to 2 s anvil keeps 1,500 whatever it is
    told. `loads` is a dumped state to begin with.
    """
    arguments = [str(binary), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id), "--silent"]
    # finality within a few blocks, so that `finalized` means something here
    arguments += ["--gas-limit", str(BLOCK_GAS_LIMIT), "--slots-in-an-epoch", "1"]
    # Ethereum's rules, with its bound on one transaction's gas (EIP-7825), which anvil does not keep unless told
    arguments += ["--hardfork", "osaka", "--enable-tx-gas-limit"]
    if begins_at is not None:
        arguments += ["--timestamp", str(begins_at)]
    if block_time_s is not None:
        arguments += ["--block-time", str(block_time_s)]
    if keep_states is not None:
        arguments += ["--no-mining", "--prune-history", str(keep_states)]
    if loads is not None:
        arguments += ["--load-state", str(loads)]
    return arguments


def start(
    binary: Path,
    port: int,
    block_time_s: int | None = 1,
    chain_id: int = CHAIN_ID,
    begins_at: int | None = None,
    keep_states: int | None = None,
    loads: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start anvil and wait until it answers; AnvilError when it exits or does not come up in time.

    It ends with the calling thread, however that ends.
    """
    check_port(port)
    process = subprocess.Popen(
        [*DIES_WITH_US, *command(binary, port, block_time_s, chain_id, begins_at, keep_states, loads)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None:
        try:
            call(f"http://127.0.0.1:{port}", "eth_chainId")
        except OSError:
            if time.monotonic() > deadline:
                stop(process)
                raise AnvilError(f"anvil does not answer on port {port}") from None
            time.sleep(0.02)
        else:
            return process
    raise AnvilError(f"anvil does not start on port {port} (exit status {process.returncode}); is the port taken?")


def check_port(port: int) -> None:
    """AnvilError when somebody listens there already: his answers would pass for our chain's."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise AnvilError(f"port {port} is taken; the local chain needs another (TALON_ANVIL_PORT)") from None


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM; SIGKILL after STOP_TIMEOUT_S."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
