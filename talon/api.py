"""The API process: one event loop, HTTP only. No HSM PIN, no PKCS#11 module, no data keys."""

import argparse
import socket
from pathlib import Path

import uvicorn

from talon.app import create_app
from talon.config import ProcessConfig
from talon.logging import configure
from vault.metrics.counts import share


def main() -> None:
    """Serve until told to stop; `--fd` is a listening socket shared with the other API processes."""
    parser = argparse.ArgumentParser(prog="talon.api")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--fd", type=int)
    parser.add_argument("--name", default="api-1")
    arguments = parser.parse_args()
    config = ProcessConfig.read(arguments.config)
    configure(config.log_level)
    if config.metrics_directory is not None:
        share(Path(config.metrics_directory), arguments.name)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            host=config.host,
            port=config.port,
            loop="uvloop",
            http="httptools",
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


if __name__ == "__main__":
    main()
