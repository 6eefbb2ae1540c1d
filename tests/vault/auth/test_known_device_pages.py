"""The pages by which a browser becomes a known device: signing in, and the link of the mail."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import text

from talon.dashboard.mail_links import router as mail_links
from talon.dashboard.sign_in import router as sign_in
from tests.support.factories import Person
from tests.support.vault_app import client, make_app
from tests.vault.auth.people import PASSWORD, a_peer, make_person, token_to
from vault.auth import lockout
from vault.auth.routers import ROUTERS as AUTH
from vault.context import Context
from vault.db import Database

COOKIE = "__Host-talon_device"


@pytest.fixture
async def browser(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client(make_app(context, (*AUTH, sign_in, mail_links)), peer=a_peer()) as http:
        # its cookies are for an encrypted connection only
        http.base_url = httpx.URL("https://talon.test")
        yield http


@pytest.fixture
async def person(database: Database) -> Person:
    """Somebody at whose account strangers have failed as often as an hour bears."""
    made = await make_person(database)
    async with database.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO lockouts (subject, failures, last_failed_at, locked_until)"
                " VALUES (:subject, :failures, now(), now() + interval '1 hour')"
            ),
            {"subject": lockout.strangers(made.email).digest, "failures": lockout.FREE_OF_STRANGERS},
        )
    return made


async def send(browser: httpx.AsyncClient, page: httpx.Response, path: str, **fields: str) -> httpx.Response:
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    return await browser.post(path, data=hidden | fields)


async def log_in(browser: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    return await send(browser, await browser.get("/login"), "/login", email=email, password=password)


async def places(database: Database, person: Person) -> int:
    async with database.begin() as connection:
        found = await connection.execute(
            text("SELECT count(*) FROM known_places WHERE user_id = :id"), {"id": person.id}
        )
        return int(found.scalar_one())


async def test_the_mails_link_makes_the_browser_known_by_its_button_only(
    browser: httpx.AsyncClient, context: Context, database: Database, person: Person
) -> None:
    refused = await log_in(browser, person.email)
    assert refused.status_code == 429
    assert "a mail with a link may be on its way" in refused.text
    link = f"/know-device?token={await token_to(context, person.email, 'know-device')}"
    # mail scanners and previews look at every link
    for method in ("GET", "GET", "HEAD"):
        async with client(make_app(context, (*AUTH, mail_links))) as scanner:
            assert (await scanner.request(method, link)).status_code in (200, 405)
    assert await places(database, person) == 0
    assert COOKIE not in browser.cookies
    page = await browser.get(link)
    assert "known now" in (await send(browser, page, "/know-device")).text
    assert COOKIE in browser.cookies
    assert (await log_in(browser, person.email)).status_code == 303
    again = await send(browser, await browser.get(link), "/know-device")
    assert again.status_code == 400


async def test_no_other_site_makes_a_device_known(
    browser: httpx.AsyncClient, context: Context, database: Database, person: Person
) -> None:
    await log_in(browser, person.email)
    token = await token_to(context, person.email, "know-device")
    assert (await browser.post("/know-device", data={"token": token})).status_code == 403
    assert await places(database, person) == 0


async def test_a_browser_that_was_signed_in_is_known_wherever_it_is(
    browser: httpx.AsyncClient, context: Context, database: Database
) -> None:
    someone = await make_person(database)
    browser.cookies.set(COOKIE, "x" * 43, domain="talon.test")
    assert (await log_in(browser, someone.email)).status_code == 303
    # what was in the browser before may be somebody else's doing
    device = browser.cookies[COOKIE]
    assert device != "x" * 43
    async with database.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO lockouts (subject, failures, last_failed_at, locked_until)"
                " VALUES (:subject, :failures, now(), now() + interval '1 hour')"
                " ON CONFLICT (subject) DO UPDATE SET failures = excluded.failures"
            ),
            {"subject": lockout.strangers(someone.email).digest, "failures": lockout.FREE_OF_STRANGERS},
        )
    async with client(make_app(context, (*AUTH, sign_in)), peer=a_peer()) as elsewhere:
        elsewhere.base_url = httpx.URL("https://talon.test")
        assert (await log_in(elsewhere, someone.email)).status_code == 429
        elsewhere.cookies.set(COOKIE, device, domain="talon.test")
        assert (await log_in(elsewhere, someone.email)).status_code == 303
        assert elsewhere.cookies[COOKIE] == device
