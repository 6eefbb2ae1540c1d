"""Changing a password, forgetting it, and that nobody learns who has an account."""

import asyncio
import statistics
import time

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import text, update

from tests.support.factories import audit_rows, make_user
from tests.support.world import until
from tests.vault.auth.people import (
    OTHER_PASSWORD,
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
from tests.vault.conftest import Connect
from vault.auth import accounts, lockout, login, password_change, service, web_sessions
from vault.auth.models import EmailToken
from vault.auth.origin import at_address
from vault.auth.passwords import hash_password
from vault.context import Context
from vault.db import Database

CHANGE = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}


async def test_a_change_ends_tokens_and_sessions_but_no_keys(
    connect: Connect, context: Context, database: Database
) -> None:
    person, http = await make_person(database), connect(peer=a_peer())
    tokens = [(await log_in(http, person.email)).json()["access_token"] for _ in range(2)]
    async with database.begin() as connection:
        cookie = await web_sessions.start(connection, person.caller, 12)
    answer = await connect(tokens[0]).post("/v1/auth/change-password", json=CHANGE)
    assert (answer.status_code, answer.content) == (204, b"")
    for token in tokens:
        assert (await connect(token).get("/v1/auth/me")).status_code == 401
    async with database.begin() as connection:
        assert await web_sessions.claims(connection, cookie) is None
    assert (await connect(person.key).get("/v1/auth/me")).status_code == 200
    assert (await log_in(http, person.email)).status_code == 401
    assert (await log_in(http, person.email, OTHER_PASSWORD)).status_code == 200
    assert [mail.subject for mail in await mails_to(context, person.email)] == ["Your password was changed"]
    assert len(await audit_rows(database, person.org_id, "user.change_password")) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"current_password": "wrong", "new_password": OTHER_PASSWORD},
        {"current_password": PASSWORD, "new_password": "weak"},
        {"current_password": PASSWORD},
        {"current_password": PASSWORD, "new_password": None},
    ],
)
async def test_a_change_that_is_refused_changes_nothing(
    connect: Connect, context: Context, database: Database, body: dict[str, str]
) -> None:
    person, http = await make_person(database), connect(peer=a_peer())
    token = (await log_in(http, person.email)).json()["access_token"]
    assert (await connect(token).post("/v1/auth/change-password", json=body)).status_code == 400
    assert (await connect(token).get("/v1/auth/me")).status_code == 200
    assert (await log_in(http, person.email)).status_code == 200
    assert await mails_to(context, person.email) == []


async def test_a_stolen_token_cannot_try_passwords(connect: Connect, database: Database) -> None:
    person = await make_person(database)
    http = connect(person.key, peer=a_peer())
    wrong = CHANGE | {"current_password": "wrong"}
    answers = [await http.post("/v1/auth/change-password", json=wrong) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [400] * 5
    await wind(database, lockout.current_password(person.id), -50)
    assert (await http.post("/v1/auth/change-password", json=CHANGE)).status_code == 429


async def test_a_forgotten_password_is_set_anew_once(connect: Connect, context: Context, database: Database) -> None:
    person, peer = await make_person(database), a_peer()
    http = connect(peer=peer)
    login = (await log_in(connect(peer=a_peer()), person.email)).json()["access_token"]
    for _ in range(2):
        asked = await http.post("/v1/auth/forgot-password", json={"email": f" {person.email.upper()} "})
        assert asked.status_code == 200
    token = await token_to(context, person.email, "reset-password")
    first = (await mails_to(context, person.email))[0].text.split("token=")[1].split()[0]
    weak = await http.post("/v1/auth/reset-password", json={"token": token, "new_password": "weak"})
    assert weak.status_code == 400
    # locked out by somebody else: the mail opens the door nevertheless
    for _ in range(5):
        await log_in(http, person.email, "wrong")
    subject = lockout.account(person.email, at_address(peer))
    assert await lock_s(database, subject)
    await wind(database, subject, -600)
    body = {"token": token, "new_password": OTHER_PASSWORD}
    answers = await asyncio.gather(*(http.post("/v1/auth/reset-password", json=body) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400]
    # the token of the other mail ends with it
    other = await http.post("/v1/auth/reset-password", json=body | {"token": first})
    assert other.status_code == 400
    assert (await connect(login).get("/v1/auth/me")).status_code == 401

    async def in_time(password: str) -> httpx.Response | None:
        # so many tries are too many for some seconds, whoever makes them; the lock-out itself would last ten minutes
        answer = await log_in(http, person.email, password)
        return None if answer.status_code == 429 else answer

    opened = await until(lambda: in_time(OTHER_PASSWORD), 20, "the door to open")
    assert opened.status_code == 200, opened.text
    shut = await until(lambda: in_time(PASSWORD), 20, "an answer to the old password")
    assert shut.status_code == 401
    assert (await mails_to(context, person.email))[-1].subject == "Your password was changed"
    assert len(await audit_rows(database, person.org_id, "user.reset_password")) == 1


async def test_an_old_reset_token_is_refused(connect: Connect, context: Context, database: Database) -> None:
    person, http = await make_person(database), connect(peer=a_peer())
    await http.post("/v1/auth/forgot-password", json={"email": person.email})
    token = await token_to(context, person.email, "reset-password")
    async with database.begin() as connection:
        await connection.execute(
            update(EmailToken).where(EmailToken.email == person.email).values(expires_at=text("now()"))
        )
    body = {"token": token, "new_password": OTHER_PASSWORD}
    assert (await http.post("/v1/auth/reset-password", json=body)).status_code == 400
    # a signup's token is none for a password
    email = an_email()
    await http.post("/v1/auth/signup", json={"email": email, "password": PASSWORD})
    body["token"] = await token_to(context, email, "verify-email")
    assert (await http.post("/v1/auth/reset-password", json=body)).status_code == 400


async def test_only_password_accounts_get_mail_and_only_a_few(
    connect: Connect, context: Context, database: Database
) -> None:
    person, keyless = await make_person(database), await make_user(database)
    closed = await make_person(database, is_active=False)
    http = connect(peer=a_peer())
    for _ in range(7):
        for email in (person.email, keyless.email, closed.email, "not an address", ""):
            answer = await http.post("/v1/auth/forgot-password", json={"email": email})
            assert (answer.status_code, answer.json()) == (200, {"message": password_change.FORGOTTEN})
    assert len(await mails_to(context, person.email)) == 5
    assert await mails_to(context, keyless.email) == await mails_to(context, closed.email) == []


async def test_nobody_fills_a_mailbox_with_signups(connect: Connect, context: Context, database: Database) -> None:
    person, nobody = await make_person(database), an_email()
    http = connect(peer=a_peer())
    for email in (person.email, nobody):
        answers = await asyncio.gather(
            *(http.post("/v1/auth/signup", json={"email": email, "password": PASSWORD}) for _ in range(8))
        )
        assert {answer.status_code for answer in answers} == {200}
        assert len(await mails_to(context, email)) == 5


async def test_neither_answer_nor_work_nor_time_tells_who_has_an_account(
    connect: Connect, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: list[str] = []
    for module, name in ((login, "verify_password"), (service, "hash_password")):
        real = getattr(module, name)

        async def counting(*arguments: str, real=real, name=name):  # type: ignore[no-untyped-def]
            work.append(name)
            return await real(*arguments)

        monkeypatch.setattr(module, name, counting)
    requests = {
        "/v1/auth/token": {"password": "wrong"},
        "/v1/auth/signup": {"password": PASSWORD},
        "/v1/auth/forgot-password": {},
    }
    rounds = 7
    for path, body in requests.items():
        known = [await make_person(database) for _ in range(rounds)]
        unknown = [an_email() for _ in range(rounds)]
        took: dict[str, list[float]] = {"known": [], "unknown": []}
        for pair in zip((person.email for person in known), unknown, strict=True):
            http, told = connect(peer=a_peer()), []
            for kind, email in zip(took, pair, strict=True):
                work.clear()
                started = time.perf_counter()
                answer = await http.post(path, json={"email": email, **body})
                took[kind].append(time.perf_counter() - started)
                told.append((answer.status_code, answer.text.replace(email, "…"), list(work)))
            assert told[0] == told[1]
        medians = [statistics.median(each) for each in took.values()]
        # the machine is shared: a lookup that skipped Argon2 or a mail would be off by far more than this
        assert max(medians) < 2 * min(medians) + 0.003, (path, medians)


@pytest.mark.parametrize("is_rehashed", [True, False])
async def test_a_log_in_with_the_old_password_waits_for_a_change_and_gets_nothing(
    connect: Connect, database: Database, is_rehashed: bool
) -> None:
    """As where a stolen password is used in the very moment in which it is replaced."""
    weak = PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
    person = await (make_user(database, password_hash=weak) if is_rehashed else make_person(database))
    new, peer = await hash_password(OTHER_PASSWORD), a_peer()
    async with database.begin() as changing:
        assert await accounts.change_password(changing, person.id, new)
        old = asyncio.create_task(log_in(connect(peer=peer), person.email))
        await wait_for_lock(database, "%users%")
    assert (await old).status_code == 401
    async with database.begin() as connection:
        stored = await connection.execute(text("SELECT password_hash FROM users WHERE id = :id"), {"id": person.id})
        assert stored.scalar_one() == new
        places = await connection.execute(text("SELECT 1 FROM known_places WHERE user_id = :id"), {"id": person.id})
        assert places.all() == []
    assert (await log_in(connect(peer=peer), person.email)).status_code == 401
    assert (await log_in(connect(peer=peer), person.email, OTHER_PASSWORD)).status_code == 200


async def wait_for_lock(database: Database, query: str) -> None:
    """Until somebody waits for a lock with such a statement."""
    found = text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE :query")
    for _ in range(400):
        async with database.begin() as connection:
            if (await connection.execute(found, {"query": query})).first():
                return
        await asyncio.sleep(0.01)
    raise AssertionError(f"nobody waits: {query}")
