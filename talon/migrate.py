"""One history of the database, applied by the supervisor alone; everybody else only checks the revision."""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from talon.roles import APP, SIGNER, grants

SCRIPTS = Path(__file__).with_name("migrations")
# any fixed number: names the right to migrate among the supervisors of one database
ADVISORY_LOCK = 7_214_000
LOCK_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_S = 10
REVISION = re.compile(r"^revision(?:: str)? = \"(\w+)\"", re.MULTILINE)
DOWN_REVISION = re.compile(r"^down_revision(?:: [\w| ]+)? = \"(\w+)\"", re.MULTILINE)


class RevisionError(Exception):
    """The database is not at the revision this program was written for."""


def upgrade(owner_url: str, app_role: str | None = APP, signer_role: str | None = SIGNER) -> None:
    """Bring the database to the newest revision and set the privileges, in one transaction.

    Several supervisors may start at once: an advisory lock lets one through, and gives up after LOCK_TIMEOUT_MS
    (OperationalError). `None` for the roles: a database without roles of its own for app and signer.
    """
    engine = create_engine(owner_url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    with engine.begin() as connection:
        # a table lock that a long reader holds must not queue everybody else behind us for ever
        connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
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


def _revision(connection: Connection) -> str | None:
    if connection.execute(text("SELECT to_regclass('public.alembic_version')")).scalar() is None:
        return None
    return connection.execute(text("SELECT version_num FROM public.alembic_version")).scalar()


def _run_alembic(connection: Connection) -> None:
    # imported here, because a start on a current database does not need it
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
