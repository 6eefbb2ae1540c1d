"""`python -m signer --config FILE`: the signer process. Prints `signer ready` once it serves."""

import argparse
import asyncio
import contextlib
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
from signer.lifeline import LASTING, REFUSED, TEMPORARY, Lifeline
from signer.link import NoTables
from signer.operations import Operations
from signer.server import HsmLost, Server

PR_SET_DUMPABLE = 4

log = logging.getLogger("signer")


def harden() -> None:
    """Not dumpable: no core file, and no process of the same user may read our memory (prctl(2))."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


async def serve(config: SignerConfig, lifeline: Lifeline) -> None:
    """Log in, attack our own custody, and serve until SIGTERM or SIGINT."""
    operations = Operations(config)
    await operations.open()
    server = Server(config, operations)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, server.stop)
    beating: list[asyncio.Task[None]] = []

    def ready() -> None:
        beating.append(asyncio.create_task(lifeline.keep_beating()))
        # a log on a full disk is no reason not to serve
        with contextlib.suppress(OSError):
            print("signer ready", flush=True)  # noqa: T201 - tests wait for this line

    await server.serve(ready)
    operations.store.close()


def main() -> int:
    """0 after a clean stop; one clear line and a status that tells the kind when it cannot serve (any more)."""
    parser = argparse.ArgumentParser(prog="signer")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--lifeline", type=int)
    arguments = parser.parse_args()
    lifeline = Lifeline(arguments.lifeline)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    harden()
    try:
        asyncio.run(serve(SignerConfig.read(arguments.config), lifeline))
    except (CustodyBroken, NoTables, OlderDatabase, WrappingKeyError, WrongToken) as error:
        return end(lifeline, LASTING, str(error))
    except PinRefused as error:
        return end(lifeline, REFUSED, str(error))
    except (HsmLost, SignerError) as error:
        return end(lifeline, TEMPORARY, str(error))
    except OSError as error:
        return end(lifeline, TEMPORARY, error.strerror or type(error).__name__)
    except HsmFault as error:
        return end(lifeline, TEMPORARY, f"the HSM failed ({type(error).__name__})")
    return 0


def end(lifeline: Lifeline, status: int, sentence: str) -> int:
    """Say why, in the log and to the supervisor."""
    log.error("cannot serve: %s", sentence)
    lifeline.last_words(sentence)
    return status


if __name__ == "__main__":
    sys.exit(main())
