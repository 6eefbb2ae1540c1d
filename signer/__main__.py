"""`python -m signer --config FILE`: the signer process. Prints `signer ready` once it serves."""

import argparse
import asyncio
import ctypes
import logging
import resource
import signal
import sys
from pathlib import Path

from signer.config import SignerConfig
from signer.cryptoki import WrappingKeyError
from signer.custody import CustodyBroken
from signer.epoch import OlderDatabase
from signer.errors import SignerError
from signer.hsm import HsmFault, PinRefused, WrongToken
from signer.operations import Operations
from signer.server import HsmLost, Server

PR_SET_DUMPABLE = 4

log = logging.getLogger("signer")


def harden() -> None:
    """Not dumpable: no core file, and no process of the same user may read our memory (prctl(2))."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


async def serve(config: SignerConfig) -> None:
    """Log in, attack our own custody, and serve until SIGTERM or SIGINT."""
    operations = Operations(config)
    await operations.open()
    server = Server(config, operations)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, server.stop)
    await server.serve(lambda: print("signer ready", flush=True))  # noqa: T201 - the supervisor waits for this line
    operations.store.close()


def main() -> int:
    """0 after a clean stop, 1 with one clear line when it cannot serve (any more)."""
    parser = argparse.ArgumentParser(prog="signer")
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    harden()
    try:
        asyncio.run(serve(SignerConfig.read(arguments.config)))
    except (
        *(CustodyBroken, HsmLost, OlderDatabase, PinRefused),
        *(SignerError, WrappingKeyError, WrongToken),
    ) as error:
        log.error("cannot serve: %s", error)
        return 1
    except HsmFault as error:
        log.error("cannot serve: the HSM failed (%s)", type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
