"""A command of the host reaches the database of its home, whether the instance runs or not."""

from pathlib import Path

import psycopg
import pytest

from talon.cli.database import opened
from talon.cli.outcome import CommandError
from talon.home import HomeError, home_lock
from talon.layout import NOBODY_ELSE, Layout
from talon.postgres import EmbeddedPostgres, PostgresError
from talon.settings import Settings


def count_of(url: str) -> int:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that was used before: a cluster with a table of one row."""
    layout = Layout(tmp_path / "home")
    layout.create(NOBODY_ELSE)
    server = EmbeddedPostgres(layout.postgres, layout.pg_socket_dir)
    with psycopg.connect(server.start().owner.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")
    server.stop()
    return layout.home


def test_of_a_stopped_instance_the_server_is_started_for_the_moment(home: Path) -> None:
    with opened(Settings(home=home)) as access:
        assert not access.is_running
        assert count_of(access.urls.owner) == 1
        # nobody may start the instance meanwhile: two servers on one cluster would be its end
        with pytest.raises(HomeError, match="another Talon runs on"), home_lock(home):
            pass
    with home_lock(home), pytest.raises(psycopg.OperationalError):
        count_of(access.urls.owner)


def test_of_a_running_instance_its_own_server_is_used(home: Path) -> None:
    layout = Layout(home)
    server = EmbeddedPostgres(layout.postgres, layout.pg_socket_dir)
    with home_lock(home):
        server.start()
        pid = server.pid
        with opened(Settings(home=home)) as access:
            assert access.is_running
            assert count_of(access.urls.owner) == 1
        # left as it was found
        assert server.pid == pid
        assert count_of(access.urls.owner) == 1
        server.stop()


def test_an_external_database_is_the_operators(home: Path) -> None:
    with opened(Settings(home=home, database_url="postgresql://me:pw@db/talon")) as access:
        assert access.urls.owner == access.urls.app == "postgresql+psycopg://me:pw@db/talon"
        assert not access.urls.has_roles


def test_who_only_looks_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="there is no instance"), opened(Settings(home=tmp_path / "none")):
        pass
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="there is no database"), opened(Settings(home=tmp_path / "empty")):
        pass
    assert not (tmp_path / "empty" / "postgres").exists()


def test_passwords_that_are_gone_are_said(home: Path) -> None:
    next(home.glob("postgres/talon_app.password")).unlink()
    with home_lock(home), pytest.raises(PostgresError, match="passwords cannot be read"), opened(Settings(home=home)):
        pass
