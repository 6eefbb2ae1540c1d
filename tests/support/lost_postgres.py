"""A PostgreSQL of the operator's, which a test takes away and gives back: stopped, killed, read-only, its disk full.

Its tables lie on a small disk of their own: a tmpfs in a mount namespace (as root, else in a user namespace), which
lives as long as a process that holds it. Where nobody may mount, they lie on the disk that there is.
"""

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from talon import usage
from tests.support.pace import patient
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.small_disk import filled, has_namespaces, small_disk, there

DATABASE, SIZE = "talon", "64m"


class LostPostgres(Postgres):
    """On a port of its own; `url_of_talon` is the database, as its owner."""

    def __init__(self, directory: Path, holder: int | None) -> None:
        self.port = free_port()
        inside = there(holder) if holder is not None else ()
        settings = {"listen_addresses": "127.0.0.1", "port": str(self.port)}
        super().__init__(directory, settings=settings, inside=inside)
        self._disk = directory / "small"
        self._holder = holder

    @property
    def url_of_talon(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Make the database, on the small disk."""
        self.ask("postgres", f"CREATE TABLESPACE small LOCATION '{self._disk / 'tables'}'")
        self.ask("postgres", f"CREATE DATABASE {DATABASE} TABLESPACE small")

    def ask(self, database: str, statement: str, *values: object) -> list[tuple]:
        """As its administrator; rows, if it has any."""
        where = f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"
        with psycopg.connect(where, autocommit=True) as connection:
            done = connection.execute(statement.encode(), values)
            return done.fetchall() if done.description else []

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """It and all its processes are there and do nothing meanwhile: connections are taken, nobody answers."""
        pids = [each.pid for each in usage.processes(self.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def killed(self) -> Iterator[None]:
        """It is gone without a word, and connections are refused meanwhile."""
        children = [each.pid for each in usage.processes(self.pid)]
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        try:
            yield
        finally:
            # its children hold the shared memory until they have noticed
            deadline = time.monotonic() + patient(30)
            while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
                time.sleep(0.05)
            self.start()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """It takes no writes meanwhile, as a standby, or one whose operator says so."""
        self._set("on")
        try:
            yield
        finally:
            self._set("off")

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """No table can grow meanwhile."""
        assert self._holder is not None
        with filled(Path(f"/proc/{self._holder}/root{self._disk}")):
            yield

    def _set(self, value: str) -> None:
        # of another session's, which may itself be in one that only reads
        self.ask("postgres", f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        self.ask("postgres", "SELECT pg_reload_conf()")


@contextlib.contextmanager
def lost_postgres() -> Iterator[LostPostgres]:
    """A server with an empty database, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="talon-lost-") as place, contextlib.ExitStack() as stack:
        disk = Path(place) / "small"
        disk.mkdir()
        holder = stack.enter_context(small_disk(disk, SIZE)) if has_namespaces() else None
        (Path(f"/proc/{holder or 'self'}/root{disk}") / "tables").mkdir()
        server = LostPostgres(Path(place), holder)
        server.start()
        try:
            server.prepare()
            yield server
        finally:
            server.stop()
