"""An external database that fails while it is set up is tried again; whatever else it says ends the start."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from talon.database import Urls
from talon.settings import Settings
from talon.supervisor import Supervisor, SupervisorError
from tests.support.postgres import Postgres, running_postgres

GONE = "SELECT pg_terminate_backend(pg_backend_pid())"
READ_ONLY = "SET TRANSACTION READ ONLY; CREATE TABLE nothing ()"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


def set_up(url: str, home: Path, statements: list[str], *, external: bool = True) -> list[str]:
    """Each time the next statement; what was said meanwhile."""
    said: list[str] = []
    supervisor = Supervisor(Settings(home=home, database_url=url if external else None), said.append)
    left = iter(statements)

    def step() -> None:
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(next(left)))

    supervisor._in_database(Urls(url, url, url), step)
    assert list(left) == []
    return said


def test_what_passes_is_tried_again(server: Postgres, tmp_path: Path) -> None:
    assert set_up(server.create("passes"), tmp_path, [GONE, READ_ONLY, "SELECT 1"]) == [
        "waiting: the database is not available at the moment",
        "waiting: the database takes no writes: it is read-only",
    ]


def test_what_does_not_pass_ends_the_start(server: Postgres, tmp_path: Path) -> None:
    url = server.create("ends")
    with pytest.raises(SupervisorError, match='the database cannot be set up: relation "nowhere" does not exist'):
        set_up(url, tmp_path, ["SELECT * FROM nowhere"])
    # nobody would start the embedded one again meanwhile
    with pytest.raises(SupervisorError, match="terminating connection"):
        set_up(url, tmp_path, [GONE], external=False)
