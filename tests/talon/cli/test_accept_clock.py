"""`talon admin accept-clock` on a stopped instance, and where there is none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from talon.cli.main import app
from talon.layout import NOBODY_ELSE, Layout
from talon.migrate import upgrade
from talon.postgres import EmbeddedPostgres
from vault.clock.boottime import boot_id

STEPPED = """
    UPDATE clock SET believed_at = now() - interval '1 day', leash = now() - interval '1 day', doubt = 'ahead',
           doubted_at = now(), why = 'It went ahead.'
"""


def accept(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setenv("TALON_HOME", str(home))
    done = CliRunner().invoke(app, ["admin", "accept-clock"])
    return done.exit_code, done.output


def test_of_a_stopped_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path / "home")
    layout.create(NOBODY_ELSE)
    server = EmbeddedPostgres(layout.postgres, layout.pg_socket_dir)
    owner = server.start().owner
    # older than this program: nothing is touched
    assert accept(layout.home, monkeypatch)[0] == 1
    upgrade(owner)
    with psycopg.connect(owner.replace("+psycopg", "")) as connection:
        connection.execute(STEPPED)
    server.stop()
    status, said = accept(layout.home, monkeypatch)
    assert status == 0, said
    assert "was in doubt" in said
    server.start()
    with psycopg.connect(owner.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT believed_at, boot_id, word, doubt, doubted_at, why FROM clock").fetchone()
    server.stop()
    assert row is not None
    assert datetime.now(UTC) - row[0] < timedelta(minutes=5)
    # the worker of this host goes on from here, however much later it starts
    assert row[1:] == (boot_id(), "human", None, None, None)


def test_where_there_is_no_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, said = accept(tmp_path / "none", monkeypatch)
    assert status == 1
    assert "there is no instance" in said
