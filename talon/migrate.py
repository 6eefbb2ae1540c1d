"""One history of the database, applied by the supervisor alone; everybody else only checks the revision."""

import re
from contextlib import suppress
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from talon.roles import APP, SIGNER, grants

SCRIPTS = Path(__file__).with_name("migrations")
# The right to migrate among the supervisors of one database. A lock on a table that only the owner may write, because
# advisory locks are open to every role: it is in the way of itself, not of whoever reads the revision.
LOCK = "LOCK TABLE public.alembic_version IN SHARE UPDATE EXCLUSIVE MODE"
# as Alembic would make it, a moment earlier
VERSION_TABLE = """
    CREATE TABLE IF NOT EXISTS public.alembic_version (
        version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
    )
"""
LOCK_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_S = 10
REVISION = re.compile(r"^revision(?:: str)? = \"(\w+)\"", re.MULTILINE)
DOWN_REVISION = re.compile(r"^down_revision(?:: [\w| ]+)? = \"(\w+)\"", re.MULTILINE)


class RevisionError(Exception):
    """The database is not at the revision this program was written for."""


def upgrade(owner_url: str, app_role: str | None = APP, signer_role: str | None = SIGNER) -> None:
    """Bring the database to the newest revision and set the privileges, in one transaction.

    Several supervisors may start at once: a lock lets one through, and gives up after LOCK_TIMEOUT_MS
    (OperationalError). `None` for the roles: a database without roles of its own for app and signer.
    """
    engine = create_engine(owner_url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    _ensure_version_table(engine)
    with engine.begin() as connection:
        # a table lock that a long reader holds must not queue everybody else behind us for ever
        connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
        connection.execute(text(LOCK))
        if _revision(connection) != head():
            _run_alembic(connection)
        if app_role is not None and signer_role is not None:
            driver = connection.connection.driver_connection
            assert driver is not None
            grants(driver, app_role, signer_role)
    engine.dispose()


async def verify_revision(url: str) -> None:
    """Check that the database is at our newest revision; RevisionError says which it is at."""
    engine = create_async_engine(url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    try:
        async with engine.connect() as connection:
            found = (await connection.execute(text("SELECT version_num FROM public.alembic_version"))).scalar()
    except ProgrammingError:
        found = None
    finally:
        await engine.dispose()
    if found != head():
        raise RevisionError(f"the database is at revision {found}, this program needs {head()}")


@cache
def head() -> str | None:
    """The newest revision this program knows: the one that no other follows. Read from the files, because
    importing Alembic would cost every process half a second for this one word."""
    texts = [path.read_text() for path in (SCRIPTS / "versions").glob("*.py")]
    followed = {match[1] for text_ in texts if (match := DOWN_REVISION.search(text_))}
    heads = {match[1] for text_ in texts if (match := REVISION.search(text_))} - followed
    if len(heads) > 1:
        raise RevisionError(f"the history has several ends: {', '.join(sorted(heads))}")
    return next(iter(heads), None)


@cache
def revisions() -> frozenset[str]:
    """Every revision this program knows how to come from."""
    texts = [path.read_text() for path in (SCRIPTS / "versions").glob("*.py")]
    return frozenset(match[1] for text_ in texts if (match := REVISION.search(text_)))


def make_schema(connection: Connection, revision: str) -> None:
    """Bring an empty database to an older revision, in the caller's transaction."""
    connection.execute(text(VERSION_TABLE))
    _run_alembic(connection, revision)


def _ensure_version_table(engine: Engine) -> None:
    with engine.begin() as connection:
        if _is_there(connection):
            return
    # of two that find nothing, IF NOT EXISTS fails one: by then the other's table is there
    with suppress(IntegrityError, ProgrammingError), engine.begin() as connection:
        connection.execute(text(VERSION_TABLE))


def _is_there(connection: Connection) -> bool:
    return connection.execute(text("SELECT to_regclass('public.alembic_version')")).scalar() is not None


def _revision(connection: Connection) -> str | None:
    return connection.execute(text("SELECT version_num FROM public.alembic_version")).scalar()


def _run_alembic(connection: Connection, revision: str = "head") -> None:
    # imported here, because a start on a current database does not need it
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
