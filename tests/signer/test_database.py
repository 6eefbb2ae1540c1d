"""What the signer does when its database goes away, hangs, or is not the token's."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from signer.errors import SignerUnavailable
from signer.lifeline import LASTING, REFUSED
from tests.support.approvals import approval_of, some_transaction
from tests.support.hsm import Hsm, temporary_hsm
from tests.support.pace import patient
from tests.support.postgres import Postgres, running_postgres
from tests.support.tokens import some_order


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """One that the test may stop."""
    with running_postgres() as server:
        yield server


async def test_a_database_that_is_down_is_503_and_its_return_needs_no_restart(own_postgres: Postgres) -> None:
    with temporary_hsm(own_postgres.create("signer")) as hsm:
        process = await hsm.start()
        client = hsm.client()
        key, transaction = await client.generate_key(uuid4()), some_transaction()
        own_postgres.stop()
        for _ in range(3):
            with pytest.raises(SignerUnavailable):
                await client.sign_transaction(approval_of(key.key_id, transaction), transaction)
            with pytest.raises(SignerUnavailable):
                await client.generate_key(uuid4())
        # what needs no database goes on
        assert await client.issue_token(some_order())
        assert (await client.health()).ok
        own_postgres.start()
        # at once, and without one request lost to a connection that was dead
        signed = await client.sign_transaction(approval_of(key.key_id, transaction), transaction)
        assert signed.sender == key.address
        assert (await client.generate_key(uuid4())).address
        assert process.poll() is None
        await client.close()


async def test_a_restart_of_an_idle_database_is_not_noticed(own_postgres: Postgres) -> None:
    with temporary_hsm(own_postgres.create("signer")) as hsm:
        await hsm.start()
        client = hsm.client()
        key, transaction = await client.generate_key(uuid4()), some_transaction()
        await client.sign_transaction(approval_of(key.key_id, transaction), transaction)
        own_postgres.stop()
        own_postgres.start()
        approval = approval_of(key.key_id, transaction)
        assert (await client.sign_transaction(approval, transaction)).sender == key.address
        await client.close()


async def test_a_database_that_hangs_holds_up_only_what_needs_it_and_not_for_long(own_postgres: Postgres) -> None:
    with temporary_hsm(own_postgres.create("signer")) as hsm:
        await hsm.start()
        client = hsm.client(timeout_s=30)
        key, transaction = await client.generate_key(uuid4()), some_transaction()
        await client.sign_transaction(approval_of(key.key_id, transaction), transaction)
        stopped = processes_of(own_postgres)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            asked = asyncio.ensure_future(client.sign_transaction(approval_of(key.key_id, transaction), transaction))
            await asyncio.sleep(0)
            assert await client.issue_token(some_order())
            assert (await client.health()).ok
            # answered while what needs the database still waits for it
            assert not asked.done()
            with pytest.raises(SignerUnavailable):
                await asked
            assert time.monotonic() - started < patient(8)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        signed = await client.sign_transaction(approval_of(key.key_id, transaction), transaction)
        assert signed.sender == key.address
        await client.close()


async def test_a_token_of_another_database_is_refused(postgres: Postgres) -> None:
    """New roots would load none of the old keys: better a clear line than a second set of keys."""
    url = postgres.create("signer_of_another_token")
    with temporary_hsm(url) as first:
        await first.start()
        client = first.client()
        await client.generate_key(uuid4())
        await client.close()
    with temporary_hsm(url) as second:
        said = await refusal(second)
    assert "the token has no talon-root-signing-keys-v1, but the database has keys" in said


async def test_roots_that_load_no_stored_key_are_refused(postgres: Postgres) -> None:
    first_url, second_url = postgres.create("signer_one"), postgres.create("signer_two")
    with temporary_hsm(first_url) as first, temporary_hsm(second_url) as second:
        for hsm in (first, second):
            process = await hsm.start()
            client = hsm.client()
            await client.generate_key(uuid4())
            await client.close()
            hsm.kill(process)
        # the first database's configuration with the second's token
        said = await refusal(second, database_url=first_url)
    assert "does not load with this token" in said or "NoSuchKey" in said


async def test_a_database_without_the_tables_is_a_clear_line(hsm: Hsm, postgres: Postgres) -> None:
    """Nothing that waiting mends: the supervisor makes the tables before it starts a signer."""
    said = await refusal(hsm, database_url=postgres.create("empty"))
    assert "the database has no tables of Talon: talon serve makes them" in said


async def test_a_token_that_cannot_be_entered_is_a_clear_line(hsm: Hsm) -> None:
    changed = hsm.directory / "changed-pin"
    changed.write_text("31415926")
    said = await refusal(hsm, REFUSED, pkcs11_pin_file=str(changed))
    assert 'the token "talon" does not take the PIN of the PIN file: one of the two was changed' in said
    assert "31415926" not in said
    assert 'the HSM has no token named "another"' in await refusal(hsm, pkcs11_token="another")
    assert "the PKCS#11 library does not load: invalid ELF header" in await refusal(hsm, pkcs11_module="/etc/passwd")


async def refusal(hsm: Hsm, status: int = LASTING, **changes: object) -> str:
    process = hsm.spawn(**changes)
    assert await asyncio.to_thread(process.wait, 30) == status
    said = hsm.log_file.read_text()
    assert "cannot serve" in said
    assert "Traceback" not in said
    return said


def processes_of(server: Postgres) -> list[int]:
    assert server._process is not None
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(server._process.pid)], capture_output=True, text=True, check=True
    )
    return [server._process.pid, *(int(pid) for pid in children.stdout.split())]
