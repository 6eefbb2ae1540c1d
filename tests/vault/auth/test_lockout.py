"""Lock-out: how long, for whom, and under concurrency."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.vault_app import client, make_app
from tests.vault.auth.people import PASSWORD, a_peer, an_email, lock_s, log_in, make_person, wind
from tests.vault.conftest import OPTIONS, Connect
from vault.auth import lockout, service
from vault.auth.lockout_rule import LONGEST_S, delay_s, delays
from vault.auth.routers import ROUTERS
from vault.context import Context
from vault.db import Database
from vault.errors import Problem, unavailable


def test_the_delay_doubles_up_to_a_quarter_of_an_hour() -> None:
    assert [delay_s(n, 5) for n in range(1, 10)] == [0, 0, 0, 0, 1, 2, 4, 8, 16]
    assert delay_s(14, 5) == 512
    assert delay_s(15, 5) == delay_s(10**9, 5) == LONGEST_S
    assert delays(5) == [delay_s(n, 5) for n in range(1, 16)]
    assert len(delays(20)) == 30


async def test_after_five_failures_the_right_password_waits_too(connect: Connect, database: Database) -> None:
    person = await make_person(database)
    http = connect(peer=a_peer())
    failed = [await log_in(http, person.email, "wrong") for _ in range(5)]
    assert [answer.status_code for answer in failed] == [401] * 5
    subject = lockout.account(person.email)
    assert await lock_s(database, subject) == 1
    await wind(database, subject, -50)
    locked = await log_in(http, person.email)
    assert locked.status_code == 429
    assert 40 <= int(locked.headers["retry-after"]) <= 51
    assert isinstance(locked.json()["detail"], str)
    # from elsewhere as well: it is the account that is locked
    assert (await log_in(connect(peer=a_peer()), person.email)).status_code == 429

    await wind(database, subject, 51)
    assert (await log_in(http, person.email, "wrong")).status_code == 401
    assert await lock_s(database, subject) == 2
    await wind(database, subject, 2)
    assert (await log_in(http, person.email)).status_code == 200
    # a success starts anew
    assert await lock_s(database, subject) is None


async def test_an_unknown_account_locks_like_a_known_one(connect: Connect, database: Database) -> None:
    person, nobody = await make_person(database), an_email()
    told = []
    for email in (person.email, nobody):
        http = connect(peer=a_peer())
        answers = [await log_in(http, email, "wrong") for _ in range(5)]
        told.append([(each.status_code, each.text) for each in answers])
        assert await lock_s(database, lockout.account(email)) == 1
        await wind(database, lockout.account(email), -50)
        assert (await log_in(http, email, "wrong")).status_code == 429
    assert told[0] == told[1]


async def test_an_address_is_locked_over_all_accounts_and_not_forgiven(connect: Connect, database: Database) -> None:
    person, peer = await make_person(database), a_peer()
    http = connect(peer=peer)
    for _ in range(18):
        async with lockout.counted(database, lockout.account(an_email()), lockout.address(peer)):
            pass
    assert (await log_in(http, person.email)).status_code == 200
    for _ in range(2):
        assert (await log_in(http, an_email(), "wrong")).status_code == 401
    await wind(database, lockout.address(peer), -50)
    assert (await log_in(http, person.email)).status_code == 429
    assert (await log_in(connect(peer=a_peer()), person.email)).status_code == 200


async def test_failures_fade(database: Database) -> None:
    subject = lockout.account(an_email())
    for _ in range(5):
        async with lockout.counted(database, subject):
            pass
    with pytest.raises(Problem):
        async with lockout.counted(database, subject):
            pass
    await wind(database, subject, lockout.ACCOUNT_FADES_S + 1)
    for _ in range(5):
        async with lockout.counted(database, subject):
            pass


async def test_a_try_nobody_had_time_for_is_not_counted(database: Database) -> None:
    subjects = lockout.account(an_email()), lockout.address(a_peer())
    for _ in range(12):
        with pytest.raises(Problem, match="busy"):
            async with lockout.counted(database, *subjects):
                raise unavailable("busy")


def test_a_neighbour_in_an_ipv6_network_is_the_same_attacker() -> None:
    assert lockout.address("2001:db8::1") == lockout.address("2001:db8::ffff:2")
    assert lockout.address("2001:db8::1") != lockout.address("2001:db8:0:1::1")
    assert lockout.address("192.0.2.1") != lockout.address("192.0.2.2")
    # hiding it buys nobody a count of one's own
    assert lockout.address(None).digest not in (
        lockout.address("192.0.2.1").digest,
        lockout.code_guesses(None).digest,
    )


async def test_of_fifty_wrong_passwords_at_once_few_are_looked_at(
    context: Context, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await make_person(database)
    looked: list[str] = []
    real = service.verify_password

    async def counting(stored: str | None, password: str) -> bool:
        looked.append(password)
        return await real(stored, password)

    monkeypatch.setattr(service, "verify_password", counting)
    # as two API processes do it: each with a pool of its own, at one database
    other = Database(str(database.engine.url.render_as_string(hide_password=False)), pool_size=5)
    contexts = [context, Context(other, context.signer, context.chains, OPTIONS)]
    apps = [make_app(each, ROUTERS) for each in contexts]

    async def attempt(number: int) -> Any:
        async with client(apps[number % 2], peer=a_peer()) as http:
            return await log_in(http, person.email, f"wrong {number}")

    answers = await asyncio.gather(*(attempt(number) for number in range(50)))
    await other.close()
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 429}
    # five cost nothing; one more for every second that the fifty take
    assert 5 <= len(looked) == statuses.count(401) <= 10


async def test_many_right_passwords_at_once_leave_nothing_behind(connect: Connect, database: Database) -> None:
    person, peer = await make_person(database), a_peer()
    http = connect(peer=peer)
    answers = await asyncio.gather(*(log_in(http, person.email, PASSWORD) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    async with database.begin() as connection:
        subjects = [lockout.account(person.email), lockout.address(peer)]
        rows = await connection.execute(
            text("SELECT failures FROM lockouts WHERE subject = ANY(:subjects)"),
            {"subjects": [subject.digest for subject in subjects if subject]},
        )
        assert list(rows.scalars()) == [0]
