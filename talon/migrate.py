"""One history of the database, applied by the supervisor alone; everybody else only checks the revision."""

import re
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
VERSION_NAME = "alembic_version"
# there since the first revision
OURS = "audit_events"
# what an extension brought along is nobody's
TABLES = """
    SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
"""
LOCK_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_S = 10
REVISION = re.compile(r"^revision(?:: str)? = \"(\w+)\"", re.MULTILINE)
DOWN_REVISION = re.compile(r"^down_revision(?:: [\w| ]+)? = \"(\w+)\"", re.MULTILINE)


class RevisionError(Exception):
    """The database is not at the revision this program was written for."""


def upgrade(owner_url: str, app_role: str | None = APP, signer_role: str | None = SIGNER) -> None:
    """Bring the database to the newest revision and set the privileges, in one transaction.

    RevisionError, before anything is changed, for a database that is newer than this program or somebody else's.
    Several supervisors may start at once: a lock lets one through, and gives up after LOCK_TIMEOUT_MS
    (OperationalError). `None` for the roles: a database without roles of its own for app and signer.
    """
    engine = create_engine(owner_url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    with engine.connect() as connection:
        _refuse_foreign(connection)
    _ensure_version_table(engine)
    with engine.begin() as connection:
        # a table lock that a long reader holds must not queue everybody else behind us for ever
        connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
        connection.execute(text(LOCK))
        # again, now that nobody else migrates
        _refuse_foreign(connection)
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
    require_known(found)
    if found != head():
        at = "has no tables of Talon yet" if found is None else f"is at revision {found}, this program needs {head()}"
        raise RevisionError(f"the database {at}: talon serve brings it up to date")


def require_known(found: str | None) -> None:
    """RevisionError for a revision that this program has never heard of."""
    if found is not None and found not in revisions():
        raise RevisionError(
            f"the database is newer than this program (revision {found}, known up to {head()}): start the version of"
            " Talon that it was used with, or a later one"
        )


@cache
def head() -> str | None:
    """The newest revision this program knows: the one that no other follows. Read from the files, because
    importing Alembic would cost every process half a second for this one word."""
    history = _history()
    heads = set(history) - {before for before in history.values() if before is not None}
    if len(heads) > 1:
        raise RevisionError(f"the history has several ends: {', '.join(sorted(heads))}")
    return next(iter(heads), None)


def revisions() -> frozenset[str]:
    """Every revision this program knows how to come from."""
    return frozenset(_history())


@cache
def _history() -> dict[str, str | None]:
    """Every revision, and the one that it follows."""
    found: dict[str, str | None] = {}
    for path in (SCRIPTS / "versions").glob("*.py"):
        written = path.read_text()
        if own := REVISION.search(written):
            before = DOWN_REVISION.search(written)
            found[own[1]] = before[1] if before else None
    return found


def make_schema(connection: Connection, revision: str) -> None:
    """Bring an empty database to an older revision, in the caller's transaction."""
    connection.execute(text(VERSION_TABLE))
    _run_alembic(connection, revision)


def _refuse_foreign(connection: Connection) -> None:
    # of one snapshot: another supervisor may be making all of them just now
    tables = set(connection.execute(text(TABLES)).scalars())
    found = _revision(connection) if VERSION_NAME in tables else None
    others = sorted(tables - {VERSION_NAME})
    if OURS in tables:
        require_known(found)
    elif others or found is not None:
        named = f" ({', '.join(others[:3])}{', …' if len(others) > 3 else ''})" if others else ""
        raise RevisionError(f"the database has tables that are not Talon's{named}: give Talon a database of its own")


def _ensure_version_table(engine: Engine) -> None:
    with engine.begin() as connection:
        if _is_there(connection):
            return
    try:
        with engine.begin() as connection:
            connection.execute(text(VERSION_TABLE))
    except (IntegrityError, ProgrammingError):
        # of two that find nothing, IF NOT EXISTS fails one: by then the other's table is there
        with engine.connect() as connection:
            if not _is_there(connection):
                raise


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
