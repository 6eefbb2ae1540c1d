"""The database as one moment has it, table by table (COPY), and back into an empty one of the same revision.

Read by the owner, who owns every table, the signer's too, in one REPEATABLE READ snapshot: a running instance goes on
meanwhile. Written in one transaction, whose commit is the caller's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, make_url

from talon.backup.envelope import DAMAGED
from talon.backup.errors import BackupError
from talon.migrate import make_schema
from talon.roles import REVISION_TABLE, SIGNER_SCHEMA

SCHEMAS = ("public", SIGNER_SCHEMA)
CONNECT_TIMEOUT_S = 10

_TABLES = """
    SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname = ANY(%s) AND c.relkind = 'r' AND NOT (n.nspname = 'public' AND c.relname = %s)
      AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    GROUP BY 1, 2 ORDER BY 1, 2
"""
_SEQUENCES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(%s) AND c.relkind = 'S' ORDER BY 1, 2
"""
_FOREIGN_KEYS = """
    SELECT n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid) AS definition
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype = 'f' AND n.nspname = ANY(%s) ORDER BY 1, 2, 3
"""


class Snapshot:
    """One moment of a database."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        if connection.execute("SELECT to_regclass('public.instance')").fetchone() == (None,):
            raise BackupError("this database is of an older Talon: start it once with this version, then back it up")
        self.revision = str(self._one(f"SELECT version_num FROM public.{REVISION_TABLE}")[0])  # noqa: S608 - ours
        found = self._one("SELECT id, epoch FROM instance")
        self.instance_id, self.epoch = found[0], int(found[1])
        self.tables = tables_of(connection)
        self.sequences = self._sequences()
        self.size = int(self._one("SELECT pg_database_size(current_database())")[0])

    def rows(self, table: str) -> Iterator[bytes]:
        """A table in PostgreSQL's text form, in pieces of unknown length."""
        schema, _, name = table.partition(".")
        names = sql.SQL(", ").join(sql.Identifier(each) for each in self.tables[table])
        copy = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(schema, name), names)
        with self._connection.cursor().copy(copy) as rows:
            for piece in rows:
                yield bytes(piece)

    def _sequences(self) -> dict[str, tuple[int, bool]]:
        found = {}
        for schema, name in self._connection.execute(_SEQUENCES, (list(SCHEMAS),)).fetchall():
            last = self._connection.execute(
                sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
            ).fetchone()
            assert last is not None
            found[f"{schema}.{name}"] = (int(last[0]), bool(last[1]))
        return found

    def _one(self, statement: str) -> tuple[Any, ...]:
        row = self._connection.execute(statement.encode()).fetchone()
        if row is None:
            raise BackupError("this database is no instance's: the tables are there, their first rows are not")
        return tuple(row)


@contextmanager
def snapshot(owner_url: str) -> Iterator[Snapshot]:
    """The moment at which the block begins."""
    with connected(owner_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        connection.execute("SET statement_timeout = 0")
        yield Snapshot(connection)


@contextmanager
def connected(owner_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection with the owner's rights."""
    url = make_url(owner_url)
    where = {**url.translate_connect_args(username="user", database="dbname"), **url.query}
    with psycopg.connect(**where, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        yield connection


def tables_of(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Every table of ours with the columns that are stored, not computed."""
    found = connection.execute(_TABLES, (list(SCHEMAS), REVISION_TABLE)).fetchall()
    return {f"{schema}.{name}": list(columns) for schema, name, columns in found}


def is_empty(connection: Connection) -> bool:
    """Whether nothing of ours, nor of anybody, is in the database."""
    return not driver_of(connection).execute(_TABLES, (list(SCHEMAS), "")).fetchall()


def driver_of(connection: Connection) -> psycopg.Connection[Any]:
    """The driver's connection under SQLAlchemy's."""
    driver: Any = connection.connection.driver_connection
    return driver  # type: ignore[no-any-return]  # psycopg's by our URLs


class Load:
    """Fills an empty database; the tables come piece by piece."""

    def __init__(self, connection: Connection, revision: str, tables: dict[str, list[str]]) -> None:
        make_schema(connection, revision)
        self._driver, self._tables = driver_of(connection), tables
        self._rest: tuple[str, bytes] = ("", b"")
        if tables_of(self._driver) != tables:
            raise BackupError(DAMAGED)
        self._foreign_keys = self._driver.execute(_FOREIGN_KEYS, (list(SCHEMAS),)).fetchall()
        for schema, table, name, _ in self._foreign_keys:
            self._alter("DROP CONSTRAINT {}", schema, table, name)
        for table in tables:
            # what the migrations put there, and rules on the order of rows that came in it
            self._alter("DISABLE TRIGGER USER", *table.split("."))
            self._driver.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(*table.split("."))))

    def add(self, table: str, data: bytes) -> None:
        """The next bytes of a table in PostgreSQL's text form; every row ends with the one line feed in it."""
        before, rest = self._rest
        if table not in self._tables or (rest and before != table):
            raise BackupError(DAMAGED)
        whole, line_feed, rest = (rest + data).rpartition(b"\n")
        self._rest = (table, rest)
        names = sql.SQL(", ").join(sql.Identifier(each) for each in self._tables[table])
        copy = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(*table.split(".")), names)
        with self._driver.cursor().copy(copy) as rows:
            rows.write(whole + line_feed)

    def finish(self, sequences: dict[str, tuple[int, bool]]) -> None:
        """What belongs to the rows: sequences, foreign keys (which are checked), triggers."""
        if self._rest[1]:
            raise BackupError(DAMAGED)
        for name, (last, is_called) in sequences.items():
            quoted = ".".join(f'"{part}"' for part in name.split("."))
            self._driver.execute("SELECT setval(%s::regclass, %s, %s)", (quoted, last, is_called))
        for schema, table, name, definition in self._foreign_keys:
            self._alter(f"ADD CONSTRAINT {{}} {definition}", schema, table, name)
        for table in self._tables:
            self._alter("ENABLE TRIGGER USER", *table.split("."))

    def _alter(self, how: Any, schema: str, table: str, name: str = "") -> None:
        head = sql.SQL("ALTER TABLE {} ").format(sql.Identifier(schema, table))
        self._driver.execute(head + sql.SQL(how).format(sql.Identifier(name)))
