"""One PostgreSQL connection that never blocks the thread: the HSM signs while the database commits.

libpq's asynchronous calls are driven here by hand, so that a call given up is over at once: the driver first tries to
cancel it, which takes seconds when the server hangs. Every call is bounded, and a connection with any trouble is
thrown away, so a database that comes back is found again without a restart.
"""

import asyncio
import select
from typing import Final
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy import make_url

from signer.errors import DatabaseRefuses, SignerUnavailable
from signer.refusals import refusal

CONNECT_TIMEOUT_S: Final = 3
CALL_TIMEOUT_S: Final = 5.0
# the server gives up before we do; a redemption that was answered must survive a crash of the server
SETTINGS: Final = "-c statement_timeout=4000 -c lock_timeout=3000 -c synchronous_commit=on"
UNIQUE_VIOLATION: Final = "23505"
# no such schema, no such table
NO_TABLES: Final = ("3F000", "42P01")
# object ids of pg_type
UUID_TYPE, BYTEA, TEXT, INT4 = 2950, 17, 25, 23

Param = UUID | bytes | str | int
Row = tuple[bytes | None, ...]


class NoTables(SignerUnavailable):
    """The database answers, and has not what we look for in it."""


class DuplicateRow(SignerUnavailable):
    """Another transaction inserted the same row meanwhile; nothing of the statement took effect."""


def conninfo(url: str) -> str:
    """What libpq is told of a SQLAlchemy URL: its parts, for the two escape a URL differently (a space as `+`)."""
    parsed = make_url(url)
    parts = parsed.translate_connect_args(username="user", database="dbname")
    for name, value in parsed.query.items():
        parts[name] = value if isinstance(value, str) else ",".join(value)
    return make_conninfo("", **parts)


class Link:
    """`url` is a SQLAlchemy URL; calls queue for the one connection, which is opened when needed."""

    def __init__(self, url: str, call_timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._conninfo = conninfo(url)
        self._timeout_s = call_timeout_s
        self._connection: psycopg.AsyncConnection[object] | None = None
        self._lock = asyncio.Lock()

    async def rows(self, sql: str, *params: Param) -> list[Row]:
        """Run one statement (`$1` style) and return its rows, columns in PostgreSQL's binary form.

        SignerUnavailable when it fails, for whatever reason; whether it took effect is then unknown. DuplicateRow
        where a unique key refused it, DatabaseRefuses where it takes no writes: then it had no effect.
        """
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await _exchange(await self._connected(), sql.encode(), params)
            except (psycopg.Error, OSError) as error:  # a TimeoutError is an OSError
                self.drop()
                if isinstance(error, _StatementFailed) and str(error) == UNIQUE_VIOLATION:
                    raise DuplicateRow("another signer was faster") from None
                if isinstance(error, _StatementFailed) and str(error) in NO_TABLES:
                    raise NoTables("the database has no tables of Talon: talon serve makes them") from None
                said = str(error)
                if (refused := refusal(said if isinstance(error, _StatementFailed) else None, said)) is not None:
                    raise DatabaseRefuses(refused) from None
                raise SignerUnavailable(f"the signer's database does not answer ({_name(error)})") from None
            except BaseException:
                # an answer might still come, to whoever asks next
                self.drop()
                raise

    def drop(self) -> None:
        """Throw the connection away; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    async def _connected(self) -> PGconn:
        if self._connection is not None and _is_stale(self._connection.pgconn):
            self.drop()
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                self._conninfo,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                options=SETTINGS,
                application_name="talon-signer",
            )
        return self._connection.pgconn


class _StatementFailed(psycopg.Error):
    """The server refused a statement; carries only the SQLSTATE, because the text may quote a row."""


async def _exchange(connection: PGconn, sql: bytes, params: tuple[Param, ...]) -> list[Row]:
    encoded = [_encoded(param) for param in params]
    connection.send_query_params(
        sql,
        [value for _, value in encoded],
        param_types=[kind for kind, _ in encoded],
        param_formats=[1] * len(encoded),
        result_format=1,
    )
    while connection.flush():
        await _ready(connection.socket, for_writing=True)
    rows: list[Row] = []
    failed: bytes | None = None
    while True:
        while connection.is_busy():
            await _ready(connection.socket)
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            break
        if result.status == ExecStatus.TUPLES_OK:
            rows += _rows_of(result)
        elif result.status != ExecStatus.COMMAND_OK:
            failed = result.error_field(DiagnosticField.SQLSTATE) or b"connection lost"
    if failed is not None:
        raise _StatementFailed(failed.decode())
    return rows


def _rows_of(result: PGresult) -> list[Row]:
    columns = range(result.nfields)
    return [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]


def _encoded(param: Param) -> tuple[int, bytes]:
    if isinstance(param, UUID):
        return UUID_TYPE, param.bytes
    if isinstance(param, bytes):
        return BYTEA, param
    if isinstance(param, str):
        return TEXT, param.encode()
    return INT4, param.to_bytes(4, "big", signed=True)


async def _ready(descriptor: int, *, for_writing: bool = False) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if for_writing else (loop.add_reader, loop.remove_reader)

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    add(descriptor, tell)
    try:
        await ready
    finally:
        remove(descriptor)


def _is_stale(connection: PGconn) -> bool:
    # Something to read while nobody asked: the server said goodbye. Known now, no statement's fate is in doubt.
    if connection.status != ConnStatus.OK:
        return True
    poll = select.poll()
    poll.register(connection.socket, select.POLLIN)
    return bool(poll.poll(0))


def _name(error: Exception) -> str:
    return f"SQLSTATE {error}" if isinstance(error, _StatementFailed) else type(error).__name__
