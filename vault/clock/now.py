"""The two times that a rule about the passing of time asks for, as SQL; the database's clock alone may be stepped.

Both are constant within a statement, so an index on what is compared with them can be used; where the planner has to
know that few rows are meant, say the same of `statement_timestamp()` beside it (`intents.budget`).
"""

from typing import Final

from sqlalchemy import ColumnElement, literal_column
from sqlalchemy.dialects.postgresql import TIMESTAMP

from vault.clock.models import Clock

# For whatever the passing of time frees, ends the protection of, or removes. Without its row it is NULL, and frees
# nothing
BELIEVED_NOW: Final = f"(SELECT LEAST(statement_timestamp(), leash) FROM {Clock.__tablename__})"  # noqa: S608 - a name of ours
# For the stamps that such a wait begins with, and for what must not come to life again: never before what was
# believed, wherever the clock was stepped back to
LATEST_NOW: Final = f"GREATEST(statement_timestamp(), (SELECT believed_at FROM {Clock.__tablename__}))"  # noqa: S608 - the same


def just_now(moment: str, seconds: str) -> str:
    """That `moment` lies within the last seconds (a bind parameter, or a number). One that is still to come is none:
    the clock was stepped back since, and what waits for it to pass would wait as long as the step."""
    return f"{moment} BETWEEN clock_timestamp() - make_interval(secs => {seconds}) AND clock_timestamp()"


def believed_now() -> ColumnElement[object]:
    """`BELIEVED_NOW` for statements that are not text."""
    return literal_column(BELIEVED_NOW, TIMESTAMP(timezone=True))


def latest_now() -> ColumnElement[object]:
    """`LATEST_NOW` for statements that are not text."""
    return literal_column(LATEST_NOW, TIMESTAMP(timezone=True))
