"""Lock-out: how long, for whom, and under concurrency; and who is let in while others fail."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from statistics import median
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.support.factories import Person
from tests.support.vault_app import client, make_app
from tests.vault.auth.people import (
    PASSWORD,
    a_peer,
    an_email,
    lock_s,
    log_in,
    mails_to,
    make_person,
    token_to,
    wind,
)
from tests.vault.conftest import OPTIONS, Connect
from vault.auth import lockout, login, places
from vault.auth.lockout_rule import LONGEST_S, delay_s, delays
from vault.auth.origin import Place, at_address, is_this_host
from vault.auth.routers import ROUTERS
from vault.context import Context
from vault.db import Database
from vault.errors import Problem, unavailable
from vault.limits.hit import hit

COOKIE = "__Host-talon_device"


@pytest.fixture(autouse=True)
def no_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands before, with windows that a slow machine outlasts or not: here it is the lock-out's turn."""
    monkeypatch.setattr(login, "hit", lambda *_: asyncio.sleep(0))


def of(email: str, peer: str) -> lockout.Subject:
    return lockout.account(email, at_address(peer))


async def fill_ceiling(database: Database, email: str, left: int = 0) -> None:
    """As many failures as an hour bears, from places that the account does not know; all but `left`."""
    for _ in range(lockout.FREE_OF_STRANGERS - left):
        async with lockout.counted(database, lockout.strangers(email)) as tried:
            assert tried.wait_s == 0


async def failures(database: Database, subject: lockout.Subject) -> int:
    statement = text("SELECT failures FROM lockouts WHERE subject = :subject")
    async with database.begin() as connection:
        return int((await connection.execute(statement, {"subject": subject.digest})).scalar_one())


def test_the_delay_doubles_up_to_a_quarter_of_an_hour() -> None:
    assert [delay_s(n, 5) for n in range(1, 10)] == [0, 0, 0, 0, 1, 2, 4, 8, 16]
    assert delay_s(14, 5) == 512
    assert delay_s(15, 5) == delay_s(10**9, 5) == LONGEST_S
    assert delays(5) == [delay_s(n, 5) for n in range(1, 16)]
    assert len(delays(20)) == 30


async def test_after_five_failures_the_right_password_waits_too(connect: Connect, database: Database) -> None:
    person, peer = await make_person(database), a_peer()
    http, subject = connect(peer=peer), of(person.email, peer)
    failed = [await log_in(http, person.email, "wrong") for _ in range(5)]
    assert [answer.status_code for answer in failed] == [401] * 5
    assert await lock_s(database, subject) == 1
    await wind(database, subject, -50)
    locked = await log_in(http, person.email)
    assert locked.status_code == 429
    assert 40 <= int(locked.headers["retry-after"]) <= 51
    assert isinstance(locked.json()["detail"], str)

    await wind(database, subject, 51)
    assert (await log_in(http, person.email, "wrong")).status_code == 401
    assert await lock_s(database, subject) == 2
    await wind(database, subject, 2)
    assert (await log_in(http, person.email)).status_code == 200
    # a success starts anew
    assert await lock_s(database, subject) is None


async def test_who_knocks_locks_nobody_but_himself(connect: Connect, database: Database) -> None:
    person, outsider = await make_person(database), a_peer()
    knocking = connect(peer=outsider)
    told = [(await log_in(knocking, person.email, f"wrong {n}")).status_code for n in range(8)]
    assert set(told[:5]) == {401}
    await wind(database, of(person.email, outsider), -500)
    assert (await log_in(knocking, person.email)).status_code == 429
    # from elsewhere, never seen before
    assert (await log_in(connect(peer=a_peer()), person.email)).status_code == 200


async def test_an_unknown_account_locks_like_a_known_one(connect: Connect, database: Database) -> None:
    person, nobody = await make_person(database), an_email()
    told = []
    for email in (person.email, nobody):
        peer = a_peer()
        http = connect(peer=peer)
        answers = [await log_in(http, email, "wrong") for _ in range(5)]
        told.append([(each.status_code, each.text) for each in answers])
        assert await lock_s(database, of(email, peer)) == 1
        await wind(database, of(email, peer), -50)
        assert (await log_in(http, email, "wrong")).status_code == 429
    assert told[0] == told[1]


@pytest.mark.parametrize("limit", ["rate", "account", "ceiling", "address"])
async def test_nothing_tells_whether_an_account_was_entered_from_here(
    context: Context, database: Database, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """As a colleague behind the same address may ask."""
    person, nobody, peer = await make_person(database), an_email(), a_peer()
    async with database.begin() as connection:
        await places.remember_address(connection, person.id, person.email, peer)
    if limit == "rate":
        monkeypatch.setattr(login, "hit", hit)
    if limit == "address":
        for _ in range(20):
            async with lockout.counted(database, lockout.address(peer)):
                pass
        await wind(database, lockout.address(peer), -5000)
    limited = replace(context, options=replace(context.options, rate_limits={"auth": "3/day"}))
    told, waits = [], []
    async with client(make_app(limited, ROUTERS), peer=peer) as http:
        for email in (person.email, nobody):
            if limit == "ceiling":
                await fill_ceiling(database, email)
            answers = [await log_in(http, email, "wrong") for _ in range(5)]
            await wind(database, of(email, peer), -500)
            answers.append(await log_in(http, email, "wrong"))
            told.append([(each.status_code, each.json()["detail"].rpartition(" try again")[0]) for each in answers])
            waits.append(int(answers[-1].headers["retry-after"]))
    assert told[0] == told[1]
    assert {said for status, said in told[0] if status == 429} == {login.TOO_MANY}
    # the time between the two
    assert abs(waits[0] - waits[1]) < 300


async def test_an_address_that_tries_many_accounts_enters_none_that_do_not_know_it(
    connect: Connect, context: Context, database: Database
) -> None:
    person, stranger, peer = await make_person(database), await make_person(database), a_peer()
    http = connect(peer=peer)
    assert (await log_in(http, person.email)).status_code == 200
    for _ in range(20):
        async with lockout.counted(database, *lockout.of_login(an_email(), at_address(peer), peer)):
            pass
    await wind(database, lockout.address(peer), -50)
    refused = await log_in(http, stranger.email)
    assert refused.status_code == 429
    assert len(await mails_to(context, stranger.email)) == 1
    # whoever was here before is nobody's victim, and leaves nothing behind
    assert (await log_in(http, person.email)).status_code == 200
    assert await failures(database, lockout.strangers(person.email)) == 0
    assert await failures(database, lockout.address(peer)) == 20
    assert (await log_in(connect(peer=a_peer()), stranger.email)).status_code == 200


async def test_over_the_ceiling_the_right_password_is_answered_by_a_mail_that_lets_the_device_in(
    connect: Connect, context: Context, database: Database
) -> None:
    person, peer = await make_person(database), a_peer()
    await fill_ceiling(database, person.email)
    http = connect(peer=peer)
    refused = await log_in(http, person.email)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 3000
    assert "mail" in refused.json()["detail"]
    # looking at the link makes nothing known: only the post does
    token = await token_to(context, person.email, "know-device")
    assert (await log_in(http, person.email)).status_code == 429
    # the device has the cookie, wherever it is
    known = await connect(peer=a_peer()).post("/v1/auth/know-device", json={"token": token})
    assert known.status_code == 200
    elsewhere = connect(peer=a_peer())
    assert (await log_in(elsewhere, person.email)).status_code == 429
    elsewhere.headers["cookie"] = f"{COOKIE}={known.json()['device_token']}"
    assert (await log_in(elsewhere, person.email)).status_code == 200
    # once
    assert (await http.post("/v1/auth/know-device", json={"token": token})).status_code == 400
    # it proves nothing by itself, and is nobody else's
    assert (await log_in(elsewhere, person.email, "wrong")).status_code == 401
    other = await make_person(database)
    await fill_ceiling(database, other.email)
    assert (await log_in(elsewhere, other.email)).status_code == 429


async def test_over_the_ceiling_nothing_tells_right_from_wrong_from_nobody(
    connect: Connect, context: Context, database: Database
) -> None:
    person, nobody = await make_person(database), an_email()
    for email in (person.email, nobody):
        await fill_ceiling(database, email)
    tries = ((person.email, PASSWORD), (person.email, "wrong"), (nobody, PASSWORD))
    told, took = set(), {each: list[float]() for each in tries}
    # in turn, so that a slow moment of the machine meets them all
    for _ in range(7):
        for email, password in tries:
            http = connect(peer=a_peer())
            started = time.perf_counter()
            answer = await log_in(http, email, password)
            took[(email, password)].append(time.perf_counter() - started)
            told.add((answer.status_code, answer.json()["detail"].rpartition("again in")[0]))
    assert len(told) == 1
    medians = [median(each) for each in took.values()]
    # a log-in that skipped Argon2 would be off by far more
    assert max(medians) < 3 * min(medians) + 0.01, medians
    # five an hour are bearable; and only for the right one
    assert len(await mails_to(context, person.email)) == 5
    assert await mails_to(context, nobody) == []


async def test_a_place_that_the_account_knows_passes_the_ceiling(connect: Connect, database: Database) -> None:
    person, peer = await make_person(database), a_peer()
    assert (await log_in(connect(peer=peer), person.email)).status_code == 200
    await fill_ceiling(database, person.email)
    assert (await log_in(connect(peer=peer), person.email)).status_code == 200
    assert (await log_in(connect(peer=a_peer()), person.email)).status_code == 429
    async with database.begin() as connection:
        await connection.execute(
            text("UPDATE known_places SET expires_at = now() WHERE user_id = :id"), {"id": person.id}
        )
    assert (await log_in(connect(peer=peer), person.email)).status_code == 429


async def test_the_host_itself_passes_the_ceiling(connect: Connect, database: Database) -> None:
    person = await make_person(database)
    await fill_ceiling(database, person.email)
    http = connect(peer="127.0.0.1")
    passed_on = {"X-Forwarded-For": "198.51.100.9"}
    body = {"email": person.email, "password": PASSWORD}
    assert (await http.post("/v1/auth/token", json=body, headers=passed_on)).status_code == 429
    assert (await log_in(http, person.email)).status_code == 200


@pytest.mark.parametrize(
    ("peer", "headers", "is_host"),
    [
        ("127.0.0.1", (), True),
        ("127.8.8.8", ("user-agent",), True),
        ("::1", (), True),
        ("::ffff:127.0.0.1", (), True),
        ("127.0.0.1", ("x-forwarded-for",), False),
        ("127.0.0.1", ("forwarded",), False),
        ("192.0.2.1", (), False),
        (None, (), False),
    ],
)
def test_who_is_on_the_host_itself(peer: str | None, headers: tuple[str, ...], is_host: bool) -> None:
    assert is_this_host(peer, headers) is is_host


async def test_the_ceiling_lasts_an_hour(database: Database) -> None:
    subject = lockout.strangers(an_email())
    for _ in range(subject.free):
        async with lockout.counted(database, subject) as tried:
            assert tried.wait_s == 0
    async with lockout.counted(database, subject) as tried:
        assert tried.wait_s > 3000
    await wind(database, subject, lockout.STRANGERS_WINDOW_S + 1)
    async with lockout.counted(database, subject) as tried:
        assert tried.wait_s == 0


async def test_a_new_password_forgets_the_places(connect: Connect, context: Context, database: Database) -> None:
    person, old, new = await make_person(database), a_peer(), a_peer()
    assert (await log_in(connect(peer=old), person.email)).status_code == 200
    await connect(peer=new).post("/v1/auth/forgot-password", json={"email": person.email})
    token = await token_to(context, person.email, "reset-password")
    body = {"token": token, "new_password": PASSWORD + "-2"}
    assert (await connect(peer=new).post("/v1/auth/reset-password", json=body)).status_code == 200
    await fill_ceiling(database, person.email)
    assert (await log_in(connect(peer=old), person.email, PASSWORD + "-2")).status_code == 429
    assert (await log_in(connect(peer=new), person.email, PASSWORD + "-2")).status_code == 200


async def test_failures_fade(database: Database) -> None:
    subject = of(an_email(), a_peer())
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
    peer, email = a_peer(), an_email()
    subjects = lockout.of_login(email, at_address(peer), peer)
    for _ in range(lockout.FREE_OF_STRANGERS + 10):
        with pytest.raises(Problem, match="busy"):
            async with lockout.counted(database, *subjects):
                raise unavailable("busy")
    async with lockout.counted(database, *subjects) as tried:
        assert tried.wait_s == 0


def test_a_neighbour_in_an_ipv6_network_is_the_same_attacker() -> None:
    assert lockout.address("2001:db8::1") == lockout.address("2001:db8::ffff:2")
    assert lockout.address("2001:db8::1") != lockout.address("2001:db8:0:1::1")
    assert lockout.address("192.0.2.1") != lockout.address("192.0.2.2")
    # hiding it buys nobody a count of one's own
    assert lockout.address(None).digest not in (
        lockout.address("192.0.2.1").digest,
        lockout.code_guesses(None).digest,
    )
    assert lockout.account("a@b.c", Place("x")) != lockout.account("a@b.c", Place("y"))


@pytest.fixture
def apps(context: Context, other: Database) -> list[Any]:
    """As two API processes are: each with a pool of its own, at one database."""
    contexts = [context, Context(other, context.signer, context.chains, OPTIONS)]
    return [make_app(each, ROUTERS) for each in contexts]


@pytest.fixture
async def other(database: Database) -> Any:
    made = Database(str(database.engine.url.render_as_string(hide_password=False)), pool_size=5)
    yield made
    await made.close()


async def at_once(apps: list[Any], person: Person, peers: list[str]) -> list[httpx.Response]:
    async def attempt(number: int, peer: str) -> httpx.Response:
        async with client(apps[number % 2], peer=peer) as http:
            return await log_in(http, person.email, f"wrong {number}")

    return list(await asyncio.gather(*(attempt(number, peer) for number, peer in enumerate(peers))))


async def test_of_fifty_wrong_passwords_at_once_few_are_looked_at(
    apps: list[Any], context: Context, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await make_person(database)
    looked: list[str] = []
    real = login.verify_password

    async def counting(stored: str | None, password: str, place: Place) -> Any:
        looked.append(password)
        return await real(stored, password, place)

    monkeypatch.setattr(login, "verify_password", counting)
    answers = await at_once(apps, person, [a_peer()] * 50)
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 429}
    # five cost nothing; one more for every second that the fifty take
    assert 5 <= len(looked) == statuses.count(401) <= 10


async def test_of_guesses_from_everywhere_at_once_a_hundred_are_told(apps: list[Any], database: Database) -> None:
    person = await make_person(database)
    await fill_ceiling(database, person.email, left=12)
    answers = await at_once(apps, person, [a_peer() for _ in range(24)])
    statuses = Counter(answer.status_code for answer in answers)
    # whom a slow machine had no time for, 503, was told nothing, and is not counted
    assert statuses.keys() <= {401, 429, 503}
    assert 12 - statuses[503] <= statuses[401] <= 12


async def test_many_right_passwords_at_once_leave_nothing_behind(connect: Connect, database: Database) -> None:
    person, peer = await make_person(database), a_peer()
    http = connect(peer=peer)
    answers = await asyncio.gather(*(log_in(http, person.email, PASSWORD) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    async with database.begin() as connection:
        subjects = lockout.of_login(person.email, at_address(peer), peer)
        rows = await connection.execute(
            text("SELECT failures FROM lockouts WHERE subject = ANY(:subjects)"),
            {"subjects": [subject.digest for subject in subjects]},
        )
        assert list(rows.scalars()) == [0, 0]
