"""A whole Talon as a child of this process, for the demo, the benchmark and the tests: the same program as
`make serve`, on a home and ports of its own. Times in seconds."""

import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from talon.bootstrap import ROOT
from talon.confine import Confinement
from talon.layout import Layout
from talon.ports import free_ports
from talon.postgres import PORT
from talon.roles import DATABASE, OWNER
from talon.token import find_module

START_TIMEOUT_S = 120.0
# longer than the supervisor's own bounds together
STOP_TIMEOUT_S = 60.0


class InstanceError(Exception):
    """The instance did not come up; the text is what it said."""


@dataclass
class Instance:
    """A supervisor and all its children. `environment` holds further TALON_* variables."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    admin_email: str = "admin@talon.local"
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    port: int = 0
    anvil_port: int = 0
    # what starts the program, if it is not to be started plainly
    starter: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = field(default=None, init=False, repr=False)
    lines: list[str] = field(default_factory=list, init=False, repr=False)
    _said: queue.SimpleQueue[str | None] = field(default_factory=queue.SimpleQueue, init=False, repr=False)

    def __post_init__(self) -> None:
        self.home = self.home.absolute()
        ports = free_ports(2)
        self.port = int(self.environment.get("TALON_PORT", self.port or ports[0]))
        self.anvil_port = int(self.environment.get("TALON_ANVIL_PORT", self.anvil_port or ports[1]))

    @property
    def base_url(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def rpc_url(self) -> str:
        """Where the local chain answers."""
        return f"http://127.0.0.1:{self.anvil_port}"

    @property
    def layout(self) -> Layout:
        """The paths under its home."""
        return Layout(self.home)

    @property
    def owner_dsn(self) -> str:
        """The embedded database with its owner's rights, as libpq wants it."""
        password = (self.layout.postgres / f"{OWNER}.password").read_text().strip()
        host = quote(str(self.layout.pg_socket), safe="")
        return f"postgresql://{OWNER}:{quote(password, safe='')}@/{DATABASE}?host={host}&port={PORT}"

    @property
    def signer_socket(self) -> Path:
        """The socket that API and worker reach the signer by."""
        return self.layout.signer_socket

    @property
    def pkcs11_module(self) -> str:
        """The HSM library that the signer has loaded."""
        return self.environment.get("TALON_PKCS11_MODULE") or find_module()

    def start(self) -> None:
        """Start it and wait for its `ready` line; InstanceError with what it said otherwise."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it only. It stops with the calling thread, so call from the main one."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TALON_")}
        own = {
            "TALON_HOME": str(self.home),
            "TALON_PORT": str(self.port),
            "TALON_ANVIL_PORT": str(self.anvil_port),
            "TALON_ADMIN_EMAIL": self.admin_email,
            "TALON_ADMIN_PASSWORD": self.admin_password,
            # what is tried out leaves nothing outside its home
            "TALON_EPOCH_DIRECTORY": "off",
        }
        self.lines, self._said = [], queue.SimpleQueue()
        confinement = Confinement(death_signal=signal.SIGTERM, directory=str(ROOT))
        self.process = subprocess.Popen(
            confinement.wrap([*self.starter, sys.executable, "-m", "talon.cli", "serve"]),
            env={**inherited, **own, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(self.process, self._said), daemon=True).start()

    def wait_ready(self) -> None:
        """Wait for the `ready` line; InstanceError with what it said otherwise."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                line = self._said.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self._shut_down()
                raise InstanceError("Talon did not start:\n" + "".join(self.lines[-20:]))
            if line.startswith("ready "):
                return

    def _listen(self, process: subprocess.Popen[str], said: queue.SimpleQueue[str | None]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.lines.append(line)
                said.put(line)
        said.put(None)

    def stop(self) -> None:
        """Stop it as Ctrl-C would; by force once the time is over."""
        self._shut_down()

    def _shut_down(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pids(self, name: str) -> list[int]:
        """Ids of the living processes of a kind: supervisor, api, worker, signer, postgres, anvil."""
        return [pid for pid in self._pids().get(name, []) if _alive(pid)]

    def process_names(self) -> list[str]:
        """The kinds of processes that it runs."""
        return sorted(self._pids())

    def _pids(self) -> dict[str, list[int]]:
        try:
            found: dict[str, list[int]] = json.loads(self.layout.pids.read_text())
        except FileNotFoundError:
            return {}
        return found


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@contextmanager
def temporary_instance(home: Path, environment: Mapping[str, str] | None = None) -> Iterator[Instance]:
    """A running instance on `home` and free ports, stopped at the end."""
    instance = Instance(home, environment or {})
    instance.start()
    try:
        yield instance
    finally:
        instance.stop()
