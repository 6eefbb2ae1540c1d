"""The API process: one event loop, HTTP only. No HSM PIN, no PKCS#11 module, no data keys."""

import argparse
import functools
import resource
import socket
from pathlib import Path
from typing import Any, cast

import uvicorn

from signer.lifeline import Lifeline
from talon.app import create_app
from talon.config import ProcessConfig
from talon.door import Door, quieten
from talon.doors import Doorkeeper, rooms
from talon.last_words import last_words
from talon.logging import configure
from talon.revision_check import RevisionCheck
from vault.auth.client_address import parse_networks
from vault.auth.recent import Recent
from vault.metrics.counts import share

# as many as some systems bear at all
MAX_DESCRIPTORS = 65_536


def main() -> None:
    """Serve until told to stop; `--fd` is a listening socket shared with the other API processes."""
    parser = argparse.ArgumentParser(prog="talon.api")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--fd", type=int)
    parser.add_argument("--name", default="api-1")
    parser.add_argument("--lifeline", type=int)
    parser.add_argument("--report", type=int)
    arguments = parser.parse_args()
    with last_words(Lifeline(arguments.lifeline)):
        serve(arguments)


def serve(arguments: argparse.Namespace) -> None:
    """Serve until told to stop; RevisionError when the database turns out to be another program's."""
    config, lifeline = ProcessConfig.read(arguments.config), Lifeline(arguments.lifeline)
    configure(config.log_level)
    if config.metrics_directory is not None:
        share(Path(config.metrics_directory), arguments.name)
    quieten()
    recent = Recent()
    keeper = Doorkeeper(
        rooms(config.max_connections, config.max_connections_per_address, raise_descriptors()),
        recent,
        parse_networks(config.trusted_proxies),
    )
    check = RevisionCheck(config.database_url, lambda: setattr(server, "should_exit", True))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config, recent, arguments.report, (lifeline.keep_beating, *check.later)),
            host=config.host,
            port=config.port,
            loop="uvloop",
            # a factory, which uvicorn calls as it would call the class
            http=cast(Any, functools.partial(Door, keeper)),
            # nothing of ours is spoken over them, and the keeper would lose sight of the connection
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # who the client is, vault.auth decides from TALON_TRUSTED_PROXIES; uvicorn would believe any local peer
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=10,
            backlog=2048,
        )
    )
    sockets = [socket.socket(fileno=arguments.fd)] if arguments.fd is not None else None
    server.run(sockets=sockets)
    if check.failure is not None:
        raise check.failure


def raise_descriptors() -> int:
    """How many files and connections this process may have open: as many as it is allowed to ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(wanted, soft)


if __name__ == "__main__":
    main()
