"""How a command ends when it cannot do its work: one sentence for people, status 1, no traceback."""

import contextlib
import sys
from collections.abc import Iterator

import typer
from sqlalchemy.exc import DBAPIError

from anvil.errors import AnvilError
from talon.database import DatabaseError
from talon.home import HomeError
from talon.migrate import RevisionError
from talon.postgres import PostgresError
from talon.settings import SettingsError
from talon.token import TokenError
from vault.errors import Problem


class CommandError(Exception):
    """A command cannot do what was asked; the text is for the operator and holds no secret."""


FOR_PEOPLE = (
    *(CommandError, SettingsError, HomeError, DatabaseError, RevisionError),
    *(PostgresError, TokenError, AnvilError),
)


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Whatever is raised for people is said on standard error, and the command ends with status 1."""
    try:
        yield
    except FOR_PEOPLE as error:
        _end(str(error))
    except Problem as problem:
        _end(problem.detail)
    except DBAPIError as error:
        # the server's own words; the statement, its values and the URL stay out
        _end(f"the database says no: {(str(error.orig).strip().splitlines() or ['no reason given'])[0]}")


def _end(sentence: str) -> None:
    sys.stderr.write(f"talon: {sentence}\n")
    raise typer.Exit(1) from None
