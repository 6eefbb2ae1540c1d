"""A PostgreSQL whose clock a test steps: every function that tells its time is another in front of the built-in one.

The functions lie in a schema that the database's search path names before `pg_catalog`, which only its owner can set:
statements, column defaults and whatever else of Talon asks for the time is told the stepped one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from tests.support.ports import free_port
from tests.support.postgres import Postgres, running_postgres

DATABASE = "talon"
TELLERS = {"clock_timestamp": "VOLATILE", "statement_timestamp": "STABLE", "now": "STABLE"}


@dataclass
class SteppedClock:
    """The server and how its clock is stepped."""

    port: int

    @property
    def url(self) -> str:
        """The database, as its owner."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def step(self, seconds: float) -> None:
        """The clock is `seconds` ahead of the true one from here on (negative: behind)."""
        self.do("UPDATE stepped.clock SET ahead = make_interval(secs => %s)", seconds)

    def do(self, statement: str, *values: object) -> list[tuple]:
        """A statement of the owner's, and what it returns."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            done = connection.execute(statement.encode(), values)
            return done.fetchall() if done.description else []


@contextmanager
def stepped_clock() -> Iterator[SteppedClock]:
    """An empty database on a server of its own, whose clock is right until it is stepped."""
    port = free_port()
    with running_postgres({"listen_addresses": "127.0.0.1", "port": str(port)}) as server:
        _prepare(server, port)
        yield SteppedClock(port)


def _prepare(server: Postgres, port: int) -> None:
    to = {"host": "127.0.0.1", "port": port, "user": "postgres", "autocommit": True}
    with psycopg.connect(dbname="postgres", **to) as admin:
        admin.execute(f"CREATE DATABASE {DATABASE}")
        admin.execute(f"ALTER DATABASE {DATABASE} SET search_path = public, stepped, pg_catalog")
    with psycopg.connect(dbname=DATABASE, **to) as owner:
        owner.execute("CREATE SCHEMA stepped")
        owner.execute("CREATE TABLE stepped.clock AS SELECT interval '0' AS ahead")
        for teller, volatility in TELLERS.items():
            body = f"SELECT pg_catalog.{teller}() + (SELECT ahead FROM stepped.clock)"  # noqa: S608 - names from above
            made = f"CREATE FUNCTION stepped.{teller}() RETURNS timestamptz LANGUAGE sql {volatility} AS '{body}'"
            owner.execute(made.encode())
