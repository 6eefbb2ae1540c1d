"""Every table comes back as it was: odd values, identities, foreign keys; an external database alike."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pyrage
import pytest
from psycopg import sql
from sqlalchemy import make_url

from signer import epoch_file
from talon.backup.archive import Reader
from talon.backup.envelope import Key, Lock, opening
from talon.backup.errors import BackupError, HalfRestoredError
from talon.backup.make import make
from talon.backup.put_back import put_back
from talon.backup.tables import snapshot
from talon.layout import Layout
from talon.migrate import head, upgrade
from tests.support.postgres import Postgres, running_postgres

ODD = "line\nfeed\ttab\\back \\N 'quote' \u2028 ü \\."


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


def connect(url: str) -> psycopg.Connection:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


@pytest.fixture(scope="module")
def filled(server: Postgres) -> str:
    url = server.create("filled")
    upgrade(url, None, None)
    with connect(url) as connection:
        connection.execute("INSERT INTO organisations (id, name) SELECT gen_random_uuid(), %s", (ODD,))
        connection.execute(
            "INSERT INTO users (id, email, display_name) VALUES (gen_random_uuid(), 'one@example.com', '')"
        )
        connection.execute("INSERT INTO memberships (user_id, org_id, role) SELECT u.id, o.id, 'owner'"
                           " FROM users u, organisations o")  # fmt: skip
        # larger than a piece of the file, so that rows are cut in two
        connection.execute(
            "INSERT INTO audit_events (id, org_id, actor_type, actor_id, action, resource_type, resource_id, details)"
            " SELECT gen_random_uuid(), o.id, 'user', 'x', 'a.b', 'r', %s,"
            " jsonb_build_object('n', repeat(md5(n::text), 200)) FROM organisations o, generate_series(1, 900) n",
            (ODD,),
        )
        connection.execute("INSERT INTO audit_pending (event_id, sequence, org_id)"
                           " SELECT id, sequence, org_id FROM audit_events LIMIT 7")  # fmt: skip
        connection.execute("INSERT INTO signer.keys (id, wrapped, public_key, address, origin)"
                           " VALUES (gen_random_uuid(), '\\x00ff', '\\x01', '\\x02', 'generated')")  # fmt: skip
        connection.execute("UPDATE instance SET epoch = 41")
    return url


def contents(url: str) -> dict[str, list[bytes]]:
    with snapshot(url) as taken:
        return {table: sorted(b"".join(taken.rows(table)).split(b"\n")) for table in taken.tables}


def test_what_is_restored_is_what_was_there(
    server: Postgres, filled: str, identity: pyrage.x25519.Identity, tmp_path: Path
) -> None:
    layout, epochs, file = Layout(tmp_path / "home"), tmp_path / "epochs", tmp_path / "file"
    layout.token.mkdir(parents=True)
    (layout.token / "pin").write_text("a pin\n")
    (layout.token / "tokens").mkdir()
    (layout.token / "tokens" / "object").write_bytes(bytes(range(256)))
    said: list[str] = []
    made = make(
        file, Lock(recipient=str(identity.to_public())), owner_url=filled, layout=layout, epochs=epochs,
        absent=["what lies elsewhere"], say=said.append,
    )  # fmt: skip
    assert (made.manifest.epoch, made.manifest.revision) == (41, head())
    assert made.size == file.stat().st_size
    with connect(filled) as connection:
        assert connection.execute("SELECT epoch FROM instance").fetchone() == (42,)
    before = contents(filled)
    assert len(before["public.audit_events"]) == 901

    # the instance went on elsewhere, as the copy of its epoch outside says
    instance_id = UUID(made.manifest.instance_id)
    outside = epoch_file.path_of(epochs, instance_id)
    outside.parent.mkdir(parents=True)
    epoch_file.raise_to(outside, instance_id, 77)
    target, home = server.create("restored"), tmp_path / "new home"

    def restore() -> None:
        put_back(
            file, Key(identities=(str(identity),)), home, replace=False, external_url=target,
            token_is_external=False, epochs=epochs, say=said.append,
        )  # fmt: skip

    restore()
    after = contents(target)
    assert after.keys() == before.keys()
    differing = {table for table in before if before[table] != after[table]}
    assert differing == {"public.instance", "public.restores"}
    assert (home / "token" / "tokens" / "object").read_bytes() == bytes(range(256))
    assert (home / "token" / "pin").read_text() == "a pin\n"
    assert not (home / "postgres").exists()
    with connect(target) as connection:
        assert connection.execute("SELECT id, epoch, start_epoch FROM instance").fetchone() == (instance_id, 78, 78)
        assert connection.execute("SELECT found_by FROM restores WHERE opened_at IS NULL").fetchall() == [
            ("restore",)
        ]
        # sequences go on, triggers and foreign keys are back
        connection.execute(
            "INSERT INTO audit_events (id, org_id, actor_type, actor_id, action, resource_type, resource_id,"
            " details) SELECT gen_random_uuid(), id, 'user', 'x', 'a.b', 'r', 'r', '{}' FROM organisations"
        )
        assert connection.execute("SELECT max(sequence) FROM audit_events").fetchone() == (901,)
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute("DELETE FROM organisations")
        for query in (
            "SELECT count(*) FROM pg_constraint WHERE contype = 'f'",
            "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'",
        ):
            with connect(filled) as original:
                assert connection.execute(query).fetchone() == original.execute(query).fetchone()
    # a second time: the database is not empty any more, and stays as it is
    (home / "token" / "pin").unlink()
    home.rename(tmp_path / "aside")
    with pytest.raises(BackupError, match="is not empty"):
        restore()
    assert not home.exists()
    assert contents(target).keys() == before.keys()


def test_a_home_that_cannot_be_put_in_its_place_behind_a_filled_database_is_told_apart(
    server: Postgres, filled: str, identity: pyrage.x25519.Identity, tmp_path: Path
) -> None:
    lock, key = Lock(recipient=str(identity.to_public())), Key(identities=(str(identity),))
    make(tmp_path / "file", lock, owner_url=filled, layout=Layout(tmp_path / "old"), epochs=None, absent=[],
         say=lambda _: None)  # fmt: skip
    target, home = server.create("alone"), tmp_path / "in the way"

    def say(line: str) -> None:
        # after the home's place was looked at
        if line.endswith("restored"):
            home.write_text("a file")

    with pytest.raises(HalfRestoredError, match="cannot be put in its place"):
        put_back(
            tmp_path / "file", key, home, replace=False, external_url=target,
            token_is_external=True, epochs=None, say=say,
        )  # fmt: skip
    assert home.read_text() == "a file"
    with connect(target) as connection:
        assert connection.execute("SELECT count(*) FROM organisations").fetchone() == (1,)


def test_a_database_that_was_never_started_with_this_version_is_told(server: Postgres, tmp_path: Path) -> None:
    with (
        pytest.raises(BackupError, match="start it once with this version"),
        snapshot(server.create("nothing")),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_bad_rows_change_nothing(
    server: Postgres, filled: str, identity: pyrage.x25519.Identity, tmp_path: Path
) -> None:
    """As when a rule of the schema does not hold in the file: nothing of it is there afterwards."""
    lock, key = Lock(recipient=str(identity.to_public())), Key(identities=(str(identity),))
    broken = server.create("broken")
    upgrade(broken, None, None)
    with connect(broken) as connection:
        connection.execute("ALTER TABLE memberships DROP CONSTRAINT fk_memberships_org_id_organisations")
        connection.execute(
            "INSERT INTO users (id, email, display_name) VALUES (gen_random_uuid(), 'two@example.com', '')"
        )
        connection.execute("INSERT INTO memberships (user_id, org_id, role)"
                           " SELECT id, gen_random_uuid(), 'owner' FROM users")  # fmt: skip
    layout = Layout(tmp_path / "old")
    make(tmp_path / "file", lock, owner_url=broken, layout=layout, epochs=None, absent=[], say=lambda _: None)
    with (tmp_path / "file").open("rb") as file, opening(file, key) as stream:
        assert Reader(stream).manifest.has_token is False
    target = server.create("untouched")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        put_back(
            tmp_path / "file", key, tmp_path / "home", replace=False, external_url=target,
            token_is_external=True, epochs=None, say=lambda _: None,
        )  # fmt: skip
    with connect(target) as connection:
        count = sql.SQL("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert connection.execute(count).fetchone() == (0,)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
