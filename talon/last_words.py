"""How a process of ours ends when it cannot go on: one sentence, and a status that tells the kind."""

import contextlib
import sys
from collections.abc import Iterator

import structlog
from sqlalchemy.exc import DBAPIError

from signer.lifeline import LASTING, TEMPORARY, Lifeline
from talon.logging import redact_text
from talon.migrate import RevisionError

log = structlog.get_logger(__name__)


@contextlib.contextmanager
def last_words(lifeline: Lifeline) -> Iterator[None]:
    """Whatever ends the process is said to the supervisor; SystemExit for what is understood."""
    try:
        yield
    except RevisionError as error:
        _end(lifeline, LASTING, str(error))
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines() or ["no reason given"]
        _end(lifeline, TEMPORARY, f"the database does not answer: {said[0]}")
    except OSError as error:
        _end(lifeline, TEMPORARY, error.strerror or type(error).__name__)
    except Exception as error:
        lifeline.last_words(redact_text(f"{type(error).__name__}: {error}"))
        raise


def _end(lifeline: Lifeline, status: int, sentence: str) -> None:
    lifeline.last_words(redact_text(sentence))
    log.error("cannot serve", reason=sentence)
    sys.exit(status)
