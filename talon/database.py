"""Where the database is, as whom each kind of process enters it, and what is wrong when nobody gets in."""

import re
from dataclasses import dataclass, field

import psycopg
from sqlalchemy import make_url

from talon.migrate import CONNECT_TIMEOUT_S
from talon.settings import Settings

OLDEST = 15
# what a server says that will be there in a moment (SQLSTATE 57P03, 53300), which libpq passes on as text only
_SOON = re.compile(
    r"starting up|shutting down|in recovery|not (yet )?accepting connections|too many|remaining connection"
)


@dataclass(frozen=True)
class Urls:
    """One database URL per kind of process (SQLAlchemy's form, psycopg 3)."""

    owner: str = field(repr=False)
    app: str = field(repr=False)
    signer: str = field(repr=False)

    @property
    def has_roles(self) -> bool:
        """Whether app and signer have roles of their own."""
        return self.app != self.owner


class DatabaseError(Exception):
    """The database cannot be entered or used; the text is one sentence without a secret.

    `may_pass`: it does not answer at all, or not yet, so that it is worth trying again.
    """

    def __init__(self, sentence: str, *, may_pass: bool = False) -> None:
        super().__init__(sentence)
        self.may_pass = may_pass


def external(settings: Settings) -> Urls | None:
    """The operator's own database; None when Talon brings one along."""
    if settings.database_url is None:
        return None
    owner = with_driver(settings.database_url)
    if settings.database_app_url is None or settings.database_signer_url is None:
        return Urls(owner, owner, owner)
    return Urls(owner, with_driver(settings.database_app_url), with_driver(settings.database_signer_url))


def with_driver(url: str) -> str:
    """A PostgreSQL URL for SQLAlchemy with psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def enter_all(urls: Urls) -> None:
    """See that every role of an external database gets in; DatabaseError names the variable of one that does not."""
    enter(urls.owner, "TALON_DATABASE_URL")
    if urls.has_roles:
        enter(urls.app, "TALON_DATABASE_APP_URL")
        enter(urls.signer, "TALON_DATABASE_SIGNER_URL")


def enter(url: str, variable: str) -> int:
    """Connect once and return the server's major version; DatabaseError."""
    try:
        with psycopg.connect(_plain(url), connect_timeout=CONNECT_TIMEOUT_S) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.Error as error:
        raise _explained(error, variable) from None
    if version < OLDEST:
        raise DatabaseError(f"the database of {variable} is PostgreSQL {version}; Talon needs {OLDEST} or newer")
    return version


def require_writes(url: str, variable: str) -> None:
    """DatabaseError, which may pass, where it is read-only: nothing could be made ready in it."""
    try:
        with psycopg.connect(_plain(url), connect_timeout=CONNECT_TIMEOUT_S) as connection:
            found = connection.execute("SHOW transaction_read_only").fetchone()
    except psycopg.Error as error:
        raise _explained(error, variable) from None
    if found == ("on",):
        raise DatabaseError(f"the database of {variable} takes no writes: it is read-only", may_pass=True)


def _explained(error: psycopg.Error, variable: str) -> DatabaseError:
    if isinstance(error, psycopg.ProgrammingError):
        # libpq quotes what it does not understand, and that may be a piece of a password
        return DatabaseError(f"{variable} has an option that PostgreSQL's client does not know")
    said = (str(error).strip().splitlines() or ["no reason given"])[0]
    reason = said.rpartition(" failed: ")[2]
    if "FATAL:" not in reason:
        return DatabaseError(f"the database of {variable} does not answer: {reason}", may_pass=True)
    reason = reason.partition("FATAL:")[2].strip()
    if _SOON.search(reason):
        return DatabaseError(f"the database of {variable} is not ready: {reason}", may_pass=True)
    return DatabaseError(f"the database of {variable} lets nobody in: {reason}")


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
