"""One history of the database, applied by the supervisor alone; everybody else only checks the revision."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from talon.roles import APP, SIGNER, grants

SCRIPTS = Path(__file__).with_name("migrations")
# any fixed number: names the right to migrate among the supervisors of one database
ADVISORY_LOCK = 7_214_000
LOCK_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_S = 10


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
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
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
    """The newest revision this program knows."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def alembic_config() -> Config:
    """Alembic's configuration, without a file: nobody else runs it."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config
