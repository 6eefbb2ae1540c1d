"""A throw-away HSM for tests: a real SoftHSM token, and real signer processes in front of it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import sqlalchemy

from signer.client import SignerClient
from signer.config import SignerConfig
from signer.models import metadata
from talon.bootstrap import ROOT
from talon.token import TokenInfo, init_token
from tests.support.pace import patient

READY_DEADLINE_S = 30.0
STOP_DEADLINE_S = 10.0


def create_tables(database_url: str) -> None:
    """The signer's schema and tables, as the migrations make them."""
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.schema.CreateSchema("signer", if_not_exists=True))
        metadata.create_all(connection)
    engine.dispose()


class Hsm:
    """A token and a database in front of which signer processes can be started, killed and started again."""

    def __init__(self, directory: Path, database_url: str) -> None:
        create_tables(database_url)
        self.directory, self.database_url = directory, database_url
        self.token: TokenInfo = init_token(directory / "token")
        self.socket_path = str(directory / "signer.sock")
        self.log_file = directory / "signer.log"
        self.processes: list[subprocess.Popen[bytes]] = []
        # ours, as the supervisor's is: it survives a signer, and several accept on it
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.socket_path)
        self._listener.listen(128)

    def config(self, **changes: object) -> Path:
        """A configuration file; `changes` override its keys."""
        settings = {
            "socket_fd": self._listener.fileno(),
            "allowed_uids": [os.geteuid()],
            "database_url": self.database_url,
            "pkcs11_module": self.token.module,
            "pkcs11_token": self.token.label,
            "pkcs11_pin_file": str(self.token.pin_file),
            "lock_file": str(self.token.lock_file),
            **changes,
        }
        path = self.directory / f"signer-{abs(hash(json.dumps(changes, sort_keys=True, default=str)))}.json"
        path.write_text(json.dumps(settings))
        path.chmod(0o600)
        return path

    def parsed_config(self, **changes: object) -> SignerConfig:
        """The same, as the process reads it."""
        return SignerConfig.read(self.config(**changes))

    def spawn(self, **changes: object) -> subprocess.Popen[bytes]:
        """Start a signer process without waiting for it; it dies with this one."""
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                [
                    "setpriv",
                    "--pdeathsig",
                    "KILL",
                    sys.executable,
                    "-m",
                    "signer",
                    "--config",
                    self.config(**changes),
                ],
                env={
                    "SOFTHSM2_CONF": str(self.token.conf),
                    "PATH": os.environ["PATH"],
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                cwd=ROOT,
                pass_fds=(self._listener.fileno(),),
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.processes.append(process)
        return process

    async def start(self, **changes: object) -> subprocess.Popen[bytes]:
        """Start a signer process and wait until it serves; AssertionError with its log when it does not."""
        process = self.spawn(**changes)
        assert process.stdout is not None
        async with asyncio.timeout(patient(READY_DEADLINE_S)):
            line = await asyncio.to_thread(process.stdout.readline)
        assert line == b"signer ready\n", self.log_file.read_text()[-2000:]
        return process

    def client(self, timeout_s: float = 10.0) -> SignerClient:
        """A client of whichever process accepts it."""
        return SignerClient(self.socket_path, timeout_s)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL, as a crash would."""
        process.kill()
        process.wait(patient(STOP_DEADLINE_S))

    def close(self) -> None:
        """Stop every process and close the socket."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(patient(STOP_DEADLINE_S))
            if process.poll() is None:
                self.kill(process)
            assert process.stdout is not None
            process.stdout.close()
        self._listener.close()


@contextmanager
def temporary_hsm(database_url: str) -> Iterator[Hsm]:
    """A token of its own in a short-named directory (socket paths end at 107 bytes), gone at the end."""
    with tempfile.TemporaryDirectory(prefix="talon-hsm-") as directory:
        hsm = Hsm(Path(directory), database_url)
        try:
            yield hsm
        finally:
            hsm.close()


@asynccontextmanager
async def running_signer(database_url: str) -> AsyncIterator[SignerClient]:
    """One signer process on a fresh token and the given (empty) database; yields a client of it."""
    with temporary_hsm(database_url) as hsm:
        await hsm.start()
        client = hsm.client()
        try:
            yield client
        finally:
            await client.close()
