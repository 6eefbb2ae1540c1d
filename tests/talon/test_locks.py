"""Locks that the application's role can take stop neither the supervisor's migrations nor a signer's start."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from talon.migrate import LOCK, upgrade, verify_revision
from talon.postgres import EmbeddedPostgres, PostgresUrls
from tests.support.hsm import temporary_hsm

# what migrations, the leader, the signer and the sequencer ever asked for
ADVISORY = range(7_214_000, 7_214_010)


@pytest.fixture
def urls(tmp_path: Path) -> Iterator[PostgresUrls]:
    server = EmbeddedPostgres(tmp_path / "home")
    yield server.start()
    server.stop()


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""))


async def test_a_subverted_api_holds_up_no_start(urls: PostgresUrls) -> None:
    # several supervisors on an empty database: one migrates, and all go on
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [urls.owner] * 4))
    await verify_revision(urls.owner)
    with connect(urls.app) as app, temporary_hsm(urls.owner) as hsm:
        for number in ADVISORY:
            app.execute("SELECT pg_advisory_lock(%s)", (number,))
        # the strongest lock that it gets on a table of which it may read
        app.execute("LOCK TABLE public.alembic_version, public.audit_seals, public.audit_heads IN ACCESS SHARE MODE")
        app.execute("SAVEPOINT before")
        for lock in (LOCK, "LOCK TABLE signer.jwt_keys IN SHARE UPDATE EXCLUSIVE MODE"):
            for mode in ("ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "ACCESS EXCLUSIVE"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    app.execute(lock.replace("SHARE UPDATE EXCLUSIVE", mode))
                app.execute("ROLLBACK TO before")
        upgrade(urls.owner)
        # two at once, and each makes sure that the roots are there
        for _ in range(2):
            await hsm.start(database_url=urls.signer)
        client = hsm.client()
        assert (await client.health()).ok
        await client.close()


async def test_only_one_signer_makes_what_must_exist_once(urls: PostgresUrls) -> None:
    upgrade(urls.owner)
    with temporary_hsm(urls.owner) as hsm:
        processes = [hsm.spawn(database_url=urls.signer) for _ in range(3)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"signer ready\n", hsm.log_file.read_text()[-2000:]
        clients = [hsm.client() for _ in range(6)]
        assert len({tuple(key.kid for key in await client.jwt_keys()) for client in clients}) == 1
        assert len(await clients[0].jwt_keys()) == 1
        for client in clients:
            await client.close()
