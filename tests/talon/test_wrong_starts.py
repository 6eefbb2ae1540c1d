"""Each way to start wrongly gets its sentence. The list below is the table of docs/starting.md, and its tests.

In a sentence, `…` stands for what differs from machine to machine.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from talon.cli.main import app
from talon.home import home_lock
from talon.migrate import upgrade
from tests.support.ports import free_port
from tests.support.postgres import Postgres, running_postgres

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "starting.md"
HERE = "tests/talon/test_wrong_starts.py"
ALONE, WITH_DATABASE = "test_it_is_said_before_anything_runs", "test_a_database_that_cannot_be_used_is_said"
ENTERED = "tests/signer/test_database.py::test_a_token_that_cannot_be_entered_is_a_clear_line"
WHOLE = "tests/talon/test_wrong_tokens.py::"
FOREIGN_TOKEN = f"{WHOLE}test_a_token_that_is_not_the_databases"
CHANGED_PIN = f"{WHOLE}test_a_pin_that_was_changed_is_tried_once_however_many_signers_there_are"


@dataclass(frozen=True)
class Start:
    """A wrong start: in words, the variables that make it (FILE, EMPTY, NONE are paths), and the sentence."""

    what: str
    sentence: str
    environment: dict[str, str] = field(default_factory=dict)
    test: str = f"{HERE}::{ALONE}"


HSM = {"TALON_PKCS11_MODULE": "FILE", "TALON_PKCS11_TOKEN": "talon", "TALON_PKCS11_PIN_FILE": "FILE"}
STARTS = [
    Start("a number that is none", "TALON_WORKERS must be a whole number from 1 to 64", {"TALON_WORKERS": "many"}),
    Start(
        "a service named `talon` in the cluster",
        "TALON_PORT was set by the cluster, which tells of a service by that name, not by you: set"
        " enableServiceLinks: false in the pod, or name the service otherwise",
        {"TALON_PORT": "tcp://10.0.0.7:8000"},
    ),
    Start(
        "a network that is none",
        "TALON_TRUSTED_PROXIES must be addresses or networks like 192.0.2.7,10.0.0.0/8",
        {"TALON_TRUSTED_PROXIES": "10.0.0.0/33"},
    ),
    Start(
        "a database URL that cannot be read",
        "TALON_DATABASE_URL must be a URL like postgresql://user:password@host:5432/database, with what is special in"
        " user and password percent-encoded (@ is %40)",
        {"TALON_DATABASE_URL": "postgresql://u:p@ss@db/talon"},
    ),
    Start(
        "an endpoint that is none",
        "TALON_RPC_1, endpoint 2, must be an absolute URL with http or https",
        {"TALON_RPC_1": "https://one.example,two.example"},
    ),
    Start(
        "an endpoint of no chain",
        "TALON_RPC_MAINNET names no chain: what follows TALON_RPC_ is its number, as in TALON_RPC_1",
        {"TALON_RPC_MAINNET": "https://one.example"},
    ),
    Start(
        "a slip of the finger",
        "TALON_WOKRERS is no variable of Talon's; was TALON_WORKERS meant?",
        {"TALON_WOKRERS": "2"},
    ),
    Start(
        "half of an HSM",
        "TALON_PKCS11_MODULE, TALON_PKCS11_TOKEN and TALON_PKCS11_PIN_FILE belong together: set all or none",
        {"TALON_PKCS11_TOKEN": "talon"},
    ),
    Start(
        "a PIN file that is missing",
        "TALON_PKCS11_PIN_FILE names a file that cannot be read: No such file or directory",
        HSM | {"TALON_PKCS11_PIN_FILE": "NONE"},
    ),
    Start(
        "a PIN file that is empty",
        "TALON_PKCS11_PIN_FILE names a file that is empty",
        HSM | {"TALON_PKCS11_PIN_FILE": "EMPTY"},
    ),
    Start(
        "an HSM's library that is no file",
        "TALON_PKCS11_MODULE must name the HSM's PKCS#11 library, but there is none: No such file or directory",
        HSM | {"TALON_PKCS11_MODULE": "NONE"},
    ),
    Start(
        "a local chain's program that is missing",
        "TALON_ANVIL_BINARY must name the local chain's program, but there is none: No such file or directory",
        {"TALON_ANVIL_BINARY": "NONE"},
    ),
    Start("a home whose name is not UTF-8", "TALON_HOME must be a path in UTF-8", {"TALON_HOME": "/tmp/\udcfc"}),
    Start("a home that is a file", "TALON_HOME (…) is a file, not a directory", {"TALON_HOME": "FILE"}),
    Start("a home that is a dead link", "TALON_HOME (…) is a link to what is not there (…)", {"TALON_HOME": "DEAD"}),
    Start("a home below a file", "TALON_HOME (…) lies below a file (…)", {"TALON_HOME": "FILE/home"}),
    Start("a home that cannot be made", "TALON_HOME (…) cannot be made: …", {"TALON_HOME": "/proc/talon"}),
    Start(
        "a home that lost its token",
        "TALON_HOME (…) has a database, but the token with its keys is gone (…/token): put it back, or restore a"
        " back-up; with an HSM of your own, set TALON_PKCS11_MODULE, _TOKEN and _PIN_FILE again",
        {"TALON_HOME": "LOST"},
    ),
    Start(
        "a home on a file system without locks",
        "the file system of TALON_HOME (…) has no locks (No locks available), so that nothing would keep two"
        " instances from the same keys: choose a home on a local disk",
        test=f"{HERE}::test_a_home_without_locks_is_said",
    ),
    Start(
        "a second Talon on one home",
        "another Talon runs on …",
        test=f"{HERE}::test_a_second_talon_on_one_home_is_said",
    ),
    Start(
        "a port in use",
        "TALON_PORT: port … of 127.0.0.1 is taken; choose another, or stop what listens there",
        {"TALON_PORT": "TAKEN"},
    ),
    Start(
        "an address that this machine does not have",
        "TALON_HOST: this machine cannot listen on 192.0.2.7: Cannot assign requested address",
        {"TALON_HOST": "192.0.2.7"},
    ),
    Start(
        "a database that lets nobody in",
        'the database of TALON_DATABASE_URL lets nobody in: role "stranger" does not exist',
        {"TALON_DATABASE_URL": "stranger"},
        f"{HERE}::{WITH_DATABASE}",
    ),
    Start(
        "a database of somebody else's",
        "the database has tables that are not Talon's (shop): give Talon a database of its own",
        {"TALON_DATABASE_URL": "foreign"},
        f"{HERE}::{WITH_DATABASE}",
    ),
    Start(
        "a database that is newer than the program",
        "the database is newer than this program (revision 9999, known up to …): start the version of Talon that it"
        " was used with, or a later one",
        {"TALON_DATABASE_URL": "newer"},
        f"{HERE}::{WITH_DATABASE}",
    ),
    Start(
        "a database that does not answer: waited for",
        "waiting: the database of TALON_DATABASE_URL does not answer: Connection refused",
        test=f"{HERE}::test_a_database_that_does_not_answer_is_waited_for",
    ),
    Start(
        "a database that is read-only: waited for",
        "waiting: the database of TALON_DATABASE_URL takes no writes: it is read-only",
        test=f"{HERE}::test_a_database_that_is_read_only_is_waited_for",
    ),
    Start(
        "a PIN that was changed",
        'the token "talon" does not take the PIN of the PIN file: one of the two was changed',
        test=CHANGED_PIN,
    ),
    Start("a token that is not there", 'the HSM has no token named "another"', test=ENTERED),
    Start("an HSM's library that is none", "the PKCS#11 library does not load: invalid ELF header", test=ENTERED),
    Start(
        "a token that is not the database's",
        "the token has no talon-root-signing-keys-v1, but the database has keys",
        test=FOREIGN_TOKEN,
    ),
]


def said_in(sentence: str, text: str) -> bool:
    return re.search(".+".join(map(re.escape, sentence.split("…"))), text) is not None


def of(test: str) -> list[Start]:
    return [start for start in STARTS if start.test == f"{HERE}::{test}"]


def environment(home: Path, **changes: str) -> dict[str, str]:
    return {"TALON_HOME": str(home), "TALON_PORT": str(free_port()), "TALON_ANVIL_PORT": "0"} | changes


@pytest.mark.parametrize("start", of(ALONE), ids=lambda start: start.what)
def test_it_is_said_before_anything_runs(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the logging of a process is that process's, and here it is the tests'
    monkeypatch.setattr("talon.cli.serve.configure", lambda _: None)
    (tmp_path / "EMPTY").touch()
    (tmp_path / "FILE").write_text("1234")
    (tmp_path / "DEAD").symlink_to(tmp_path / "NONE")
    (tmp_path / "LOST" / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "LOST" / "postgres" / "data" / "PG_VERSION").write_text("18")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        places = {"FILE": str(tmp_path / "FILE"), "EMPTY": str(tmp_path / "EMPTY"), "NONE": str(tmp_path / "NONE")}
        places |= {"TAKEN": str(taken.getsockname()[1]), "FILE/home": str(tmp_path / "FILE" / "home")}
        places |= {name: str(tmp_path / name) for name in ("LOST", "DEAD")}
        chosen = {name: places.get(value, value) for name, value in start.environment.items()}
        for name in [name for name in os.environ if name.startswith("TALON_")]:
            monkeypatch.delenv(name)
        done = CliRunner().invoke(app, ["serve"], env=environment(tmp_path / "home") | chosen)
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert line.startswith("talon stopped: ")
    assert said_in(start.sentence, line), line
    assert "…" in start.sentence or line == f"talon stopped: {start.sentence}"
    # never the value, which may hold a secret
    assert not any("@" in value and value in line for value in chosen.values())


def test_a_second_talon_on_one_home_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talon.cli.serve.configure", lambda _: None)
    (start,) = of("test_a_second_talon_on_one_home_is_said")
    with home_lock(tmp_path):
        done = CliRunner().invoke(app, ["serve"], env=environment(tmp_path))
    assert (done.exit_code, said_in(start.sentence, done.output)) == (1, True)


def serve(module: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TALON_")}
    return subprocess.run(
        [sys.executable, "-m", module, "serve"],
        env=inherited | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_home_without_locks_is_said(tmp_path: Path) -> None:
    (start,) = of("test_a_home_without_locks_is_said")
    done = serve("tests.support.no_locks", environment(tmp_path / "home"))
    assert (done.returncode, said_in(start.sentence, done.stdout)) == (1, True), done.stdout + done.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


def test_a_database_that_cannot_be_used_is_said(server: Postgres, tmp_path: Path) -> None:
    urls = {name: server.create(name) for name in ("stranger", "foreign", "newer")}
    urls["stranger"] = urls["stranger"].replace("//postgres@", "//stranger@")
    with psycopg.connect(urls["foreign"].replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE shop (id int)")
    upgrade(urls["newer"], None, None)
    with psycopg.connect(urls["newer"].replace("+psycopg", "")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    starts = of(WITH_DATABASE)
    variables = [
        environment(tmp_path / name, TALON_DATABASE_URL=urls[name])
        for name in (start.environment["TALON_DATABASE_URL"] for start in starts)
    ]
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda each: serve("talon.cli", each), variables))
    for start, done in zip(starts, ended, strict=True):
        assert done.returncode == 1
        last = done.stdout.splitlines()[-1]
        assert last.startswith("talon stopped: ")
        assert said_in(start.sentence, last), done.stdout + done.stderr
    # what is somebody else's was left alone
    with psycopg.connect(urls["foreign"].replace("+psycopg", "")) as connection:
        tables = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert tables.fetchall() == [("shop",)]


def test_a_database_that_does_not_answer_is_waited_for(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    from talon import start_checks
    from talon.database import Urls

    (start,) = of("test_a_database_that_does_not_answer_is_waited_for")
    url = server.create("waited")
    nobody = f"postgresql+psycopg://u:secret-word@127.0.0.1:{free_port()}/talon"
    answers = iter([Urls(nobody, nobody, nobody), Urls(nobody, nobody, nobody), Urls(url, url, url)])
    enter = start_checks.enter_all
    monkeypatch.setattr(start_checks, "enter_all", lambda _: enter(next(answers)))
    monkeypatch.setattr(start_checks, "require_writes", lambda *_: None)
    monkeypatch.setattr(start_checks, "FIRST_PAUSE_S", 0.01)
    said: list[str] = []
    start_checks.wait_for_database(Urls(nobody, nobody, nobody), said.append)
    # once, however often it is tried
    assert said == [start.sentence]


def test_a_database_that_is_read_only_is_waited_for(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    from talon import start_checks
    from talon.database import Urls

    (start,) = of("test_a_database_that_is_read_only_is_waited_for")
    url = server.create("standby")
    plain = url.replace("+psycopg", "")

    def switch(value: str) -> None:
        with psycopg.connect(plain, autocommit=True, options="-c default_transaction_read_only=off") as connection:
            connection.execute(f"ALTER DATABASE standby SET default_transaction_read_only = {value}".encode())

    switch("on")
    said: list[str] = []
    monkeypatch.setattr(start_checks.time, "sleep", lambda _: switch("off"))
    start_checks.wait_for_database(Urls(url, url, url), said.append)
    assert said == [start.sentence]


def test_the_page_has_just_these_sentences_and_names_tests_that_are_there() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| `(\S+)` \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [(start.what, start.sentence, start.test) for start in STARTS]
    for start in STARTS:
        file, _, name = start.test.partition("::")
        source = (ROOT / file).read_text()
        assert f"def {name}(" in source, start.test
        if file != HERE:
            # what is tested elsewhere is compared there, word by word
            assert start.sentence in source.replace("\\", ""), start.sentence
