"""Whether an error of the database's is its own trouble, which passes, or the fault of what it was asked."""

from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from signer.refusals import refusal

# a quota, a file that may not grow, a damaged page: the server calls all of these an internal error
INTERNAL: Final = "XX"


def trouble(error: DBAPIError) -> str | None:
    """What is wrong with the database, in a sentence without its full stop; None: nothing, the statement is wrong."""
    if (refused := refusal(sqlstate(error), str(error.orig))) is not None:
        return refused
    # lock and statement timeouts, deadlocks and lost connections all arrive as these
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return "The database is not available at the moment"
    return "The database failed" if sqlstate(error).startswith(INTERNAL) else None


def sqlstate(error: DBAPIError) -> str:
    """Five characters (PostgreSQL, appendix A); empty when the server said nothing."""
    return getattr(error.orig, "sqlstate", None) or ""
