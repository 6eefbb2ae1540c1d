"""The copies of the epoch: they only grow, one instance's say nothing of another's, and a signer heeds them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from signer import epoch_file
from signer.lifeline import LASTING
from talon.bootstrap import ROOT
from talon.migrate import upgrade
from tests.support.hsm import Hsm, temporary_hsm
from tests.support.postgres import running_postgres
from tests.support.world import until

OTHER = uuid4()


@pytest.fixture(scope="module")
def hsm() -> Iterator[Hsm]:
    with running_postgres() as server:
        url = server.create("epochs")
        upgrade(url, None, None)
        with temporary_hsm(url) as hsm:
            yield hsm


def sql(hsm: Hsm, statement: str, *values: object) -> tuple[UUID, int]:
    url = make_url(hsm.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement, values).fetchone()
        assert row is not None
        return row[0], row[1]


def in_token(hsm: Hsm) -> dict[str, int]:
    token = hsm.token
    where = {
        "pkcs11_module": token.module,
        "pkcs11_token": token.label,
        "pkcs11_pin_file": str(token.pin_file),
        "lock_file": str(token.lock_file),
    }
    done = subprocess.run(
        [sys.executable, "-m", "signer.read_epoch"],
        input=json.dumps(where),
        env={"SOFTHSM2_CONF": str(token.conf)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_file_only_grows_and_speaks_for_one_instance(tmp_path: Path) -> None:
    instance_id = uuid4()
    path = epoch_file.path_of(tmp_path, instance_id)
    assert epoch_file.read(path, instance_id) is None
    with pytest.raises(OSError, match="No such file"):
        epoch_file.raise_to(path, instance_id, 1)
    path.parent.mkdir()
    for epoch, then in ((5, 5), (4, 5), (5, 5), (17, 17)):
        assert epoch_file.raise_to(path, instance_id, epoch)
        assert epoch_file.read(path, instance_id) == then
    assert epoch_file.read(path, OTHER) is None
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["epoch"]
    for text in ("", "nonsense", f"{instance_id} ", f"{instance_id} -9", f"{OTHER} 99", f"{instance_id} ９", "\xff"):
        path.write_bytes(text.encode("utf-8"))
        assert epoch_file.read(path, instance_id) is None
    # what is damaged is written anew
    assert epoch_file.raise_to(path, instance_id, 3)
    assert epoch_file.read(path, instance_id) == 3


async def test_a_signer_brings_the_copies_up_and_does_not_serve_a_database_that_is_behind(
    hsm: Hsm, tmp_path: Path
) -> None:
    instance_id, _ = sql(hsm, "UPDATE instance SET epoch = 7 RETURNING id, epoch")
    file = epoch_file.path_of(tmp_path, instance_id)
    file.parent.mkdir()
    hsm.kill(await hsm.start(epoch_file=str(file)))
    assert in_token(hsm) == {str(instance_id): 7}
    assert epoch_file.read(file, instance_id) == 7

    # without a file it is the token alone that tells
    sql(hsm, "UPDATE instance SET epoch = 6 RETURNING id, epoch")
    for more in ({}, {"epoch_file": str(file)}):
        process = hsm.spawn(**more)

        async def ended(process: subprocess.Popen[bytes] = process) -> bool:
            return process.poll() is not None

        await until(ended, what="the end of the signer", every_s=0.05)
        assert process.returncode == LASTING
        said = hsm.log_file.read_text().strip().splitlines()[-1]
        assert "cannot serve: the database is older than what was signed (epoch 6 there, 7 outside)" in said

    # another instance on the same token and a file of another: neither is this one's
    sql(hsm, "UPDATE instance SET id = %s RETURNING id, epoch", OTHER)
    hsm.kill(await hsm.start(epoch_file=str(file)))
    assert in_token(hsm) == {str(instance_id): 7, str(OTHER): 6}
