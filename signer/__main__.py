"""`python -m signer --config FILE`: the signer process. Prints `signer ready` once it serves."""

import argparse
import asyncio
import ctypes
import logging
import signal
import sys
from pathlib import Path

from signer.config import SignerConfig
from signer.custody import CustodyBroken
from signer.errors import SignerError
from signer.operations import HsmFault, Operations
from signer.server import Server
from signer.unwrap_template import WrappingKeyError

PR_SET_DUMPABLE = 4


def harden() -> None:
    """Not dumpable: no core file, and no process of the same user may read our memory (prctl(2))."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


async def serve(config: SignerConfig, operations: Operations) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = Server(config, operations)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, server.stop)
    await server.serve(lambda: print("signer ready", flush=True))  # noqa: T201 - the supervisor waits for this line


def main() -> int:
    """0 after a clean stop, 1 with one clear line when it cannot serve."""
    parser = argparse.ArgumentParser(prog="signer")
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    harden()
    try:
        operations = Operations(SignerConfig.read(arguments.config))
        operations.open()
    except (CustodyBroken, SignerError, WrappingKeyError) as error:
        logging.getLogger("signer").error("cannot serve: %s", error)
        return 1
    except HsmFault as error:
        logging.getLogger("signer").error("cannot serve: the HSM failed (%s)", type(error).__name__)
        return 1
    asyncio.run(serve(operations=operations, config=SignerConfig.read(arguments.config)))
    operations.store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
