"""The embedded PostgreSQL: started from nothing, killed, started again, and closed to whoever has no password."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from talon.postgres import EmbeddedPostgres, PostgresUrls, short_directory
from talon.roles import grants
from vault.db import CONNECTIONS_APART, SHARED
from vault.limits.counters import CONNECTIONS as COUNTERS


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("pg") / "home")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def urls(server: EmbeddedPostgres) -> PostgresUrls:
    return server.start()


def test_three_roles_none_of_them_privileged(urls: PostgresUrls) -> None:
    for url, name in ((urls.owner, "talon_owner"), (urls.app, "talon_app"), (urls.signer, "talon_signer")):
        with connect(url) as connection:
            row = connection.execute(
                "SELECT current_user, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
            assert row == (name, False, False, False)


def test_what_was_committed_survives_a_kill(server: EmbeddedPostgres, urls: PostgresUrls) -> None:
    with connect(urls.owner) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept VALUES (42)")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert server.process is not None
    server.process.wait(10)
    assert server.pid is None
    assert server.start() == urls
    with connect(urls.owner) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(42,)]


def test_a_wrong_or_missing_password_opens_nothing(urls: PostgresUrls) -> None:
    for wrong in ("wrong", ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(
                host=str(urls.socket_dir), user="talon_owner", dbname="talon", password=wrong, passfile="/nonexistent"
            )


def test_it_listens_on_no_network(urls: PostgresUrls) -> None:
    with connect(urls.owner) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_passwords_are_in_private_files_and_nowhere_else(server: EmbeddedPostgres, urls: PostgresUrls) -> None:
    files = list(server.home.glob("*.password"))
    assert len(files) == 4
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        password = file.read_text().strip()
        assert len(password) >= 24
        assert password not in repr(urls)
        assert password not in server.log_file.read_text()
        assert server.pid is not None
        assert password.encode() not in Path(f"/proc/{server.pid}/cmdline").read_bytes()


def test_grants_separate_app_and_signer(urls: PostgresUrls) -> None:
    with connect(urls.owner) as owner:
        owner.execute("CREATE SCHEMA IF NOT EXISTS signer")
        for table in (
            "public.audit_events",
            "public.vaults",
            "public.alembic_version",
            "signer.keys",
            "signer.redemptions",
        ):
            owner.execute(f"CREATE TABLE {table} (id int GENERATED ALWAYS AS IDENTITY, note text)")
        # what of the keys everybody may know
        owner.execute("ALTER TABLE signer.keys ADD address text, ADD origin text")
        grants(owner)
        grants(owner)
    with connect(urls.app) as app:
        app.execute("INSERT INTO audit_events (note) VALUES ('a')")
        app.execute("INSERT INTO vaults (note) VALUES ('a')")
        app.execute("UPDATE vaults SET note = 'b'")
        assert app.execute("SELECT note FROM audit_events").fetchall() == [("a",)]
        assert app.execute("SELECT note FROM signer.redemptions").fetchall() == []
        for forbidden in (
            "UPDATE audit_events SET note = 'b'",
            "DELETE FROM audit_events",
            "TRUNCATE audit_events",
            "TRUNCATE vaults",
            "UPDATE alembic_version SET note = 'b'",
            "SELECT * FROM signer.keys",
            "INSERT INTO signer.keys (note) VALUES ('a')",
            "INSERT INTO signer.redemptions (note) VALUES ('a')",
            "UPDATE signer.redemptions SET note = 'b'",
            "DELETE FROM signer.redemptions",
            "CREATE TABLE mine (id int)",
            "SET ROLE talon_signer",
            # what is deleted is only marked: keys come back from there
            "DELETE FROM vaults",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(forbidden)
    with connect(urls.signer) as signer:
        signer.execute("INSERT INTO signer.keys (note) VALUES ('a')")
        signer.execute("SELECT * FROM alembic_version")
        signer.execute("INSERT INTO signer.redemptions (note) VALUES ('a')")
        for forbidden in (
            "SELECT * FROM vaults",
            "INSERT INTO audit_events (note) VALUES ('a')",
            "UPDATE signer.redemptions SET note = 'b'",
            "DELETE FROM signer.redemptions",
            "TRUNCATE signer.redemptions",
            "DELETE FROM signer.keys",
            "TRUNCATE signer.keys",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                signer.execute(forbidden)


@pytest.mark.parametrize("name", ["long" * 30, "Ümläute, Kommas und 'Zeichen'"])
def test_a_home_with_an_odd_name_still_gets_a_socket(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nor is the folder for temporary files of any help
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    server = EmbeddedPostgres(tmp_path / name, api_processes=64)
    try:
        urls = server.start()
        assert len(os.fsencode(urls.socket_dir)) < 90
        with connect(urls.app) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            # and it has connections for as many processes as there may be
            shown = connection.execute("SHOW max_connections").fetchone()
            assert shown is not None
            assert int(shown[0]) >= 64 * (SHARED + 3 * CONNECTIONS_APART + COUNTERS)
    finally:
        server.stop()


def test_a_short_name_is_left_alone(tmp_path: Path) -> None:
    assert short_directory(Path("/run/x")) == Path("/run/x")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("somebody", ["a folder", "a link"])
def test_nobody_keeps_us_from_a_short_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, somebody: str) -> None:
    """Folders for temporary files are open to all, and the name can be worked out."""
    directory = tmp_path / "long" / ("a" * 120)
    directory.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="t-") as open_to_all:
        monkeypatch.setattr("tempfile.tempdir", open_to_all)
        place = short_directory(directory).parent
        assert place.parent == Path(open_to_all)
        (place / "d").unlink()
        place.rmdir()
        if somebody == "a link":
            place.symlink_to("/etc")
        else:
            place.mkdir(mode=0o777)
            os.chown(place, 12345, 12345)
        elsewhere = short_directory(directory)
    assert elsewhere.parent != place
    assert elsewhere.resolve() == directory
    elsewhere.unlink()
    elsewhere.parent.rmdir()
