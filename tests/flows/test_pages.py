"""The pages that mails lead to, as a browser uses them: cookies, forms, and what other sites cannot do."""

import re
import secrets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.support.instance import Running
from tests.support.world import World

PASSWORD = "Correct-Horse7"


class Browser:
    """Follows redirects, keeps cookies, sends forms as they stand on the page."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx.AsyncClient(base_url=base_url, timeout=30, follow_redirects=True)

    async def open(self, path: str) -> httpx.Response:
        self.page = await self.http.get(path)
        return self.page

    async def send(self, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
        """Fill in the page's form and press its first button, or the one named by `answer`."""
        main = self.page.text.split("<main>")[1]
        action = re.search(r'<form method="post" action="([^"]+)"', main)
        assert action is not None, self.page.text
        inputs = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', main))
        data = {name: value.replace("&amp;", "&") for name, value in inputs.items()} | fields
        self.page = await self.http.post(action[1], data=data, headers=headers)
        return self.page

    async def sign_in(self, email: str, password: str = PASSWORD) -> httpx.Response:
        await self.open("/login")
        return await self.send(email=email, password=password)


@pytest.fixture
async def browser(instance: Running) -> AsyncIterator[Browser]:
    made = Browser(instance.base_url)
    yield made
    await made.http.aclose()


@pytest.fixture
async def email(instance: Running, world: World, browser: Browser) -> str:
    """The address of somebody who signed up and confirmed with a browser."""
    address = f"{uuid4()}@example.com"
    await browser.open("/signup")
    assert (await browser.send(email=address, password=PASSWORD)).status_code == 200
    link = await link_in_mail(world, address)
    await browser.open(f"{link.path}?{link.query}")
    assert "Address confirmed" in (await browser.send()).text
    return address


async def link_in_mail(world: World, address: str) -> Any:
    """The newest mail's link."""
    found = await world.http.get("/v1/admin/outbox", params={"to": address}, headers=world.headers)
    assert found.status_code == 200, found.text
    link = re.search(r"https?://\S+", found.json()["messages"][0]["text"])
    assert link is not None
    return urlsplit(link.group())


async def test_every_page_forbids_what_it_does_not_need(browser: Browser) -> None:
    for path in ("/login", "/signup", "/forgot-password", "/verify-email?token=x", "/reset-password?token=x"):
        page = await browser.open(path)
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert "<script" not in page.text
    for cookie in browser.http.cookies.jar:
        assert cookie.has_nonstandard_attr("HttpOnly")


async def test_looking_at_a_link_confirms_nothing(world: World, browser: Browser) -> None:
    address = f"{uuid4()}@example.com"
    await browser.open("/signup")
    await browser.send(email=address, password=PASSWORD)
    link = await link_in_mail(world, address)
    for _ in range(3):
        assert (await browser.open(f"{link.path}?{link.query}")).status_code == 200
    refused = await browser.sign_in(address)
    assert refused.status_code == 401
    await browser.open(f"{link.path}?{link.query}")
    assert "Address confirmed" in (await browser.send()).text
    assert "signed in" in (await browser.sign_in(address)).text


async def test_signing_in_and_out(browser: Browser, email: str) -> None:
    assert (await browser.sign_in(email, "Wrong-Password7")).status_code == 401
    signed_in = await browser.sign_in(email)
    assert (signed_in.url.path, signed_in.status_code) == ("/", 200)
    session = browser.http.cookies["talon_session"]
    token = re.search(r'name="csrf" value="([^"]+)"', signed_in.text)
    assert token is not None
    await browser.http.post("/logout", data={"csrf": token[1]})
    # ended in the database too, not only forgotten here
    browser.http.cookies.clear()
    browser.http.cookies.set("talon_session", session)
    assert (await browser.open("/")).url.path == "/login"


async def test_a_form_of_another_site_does_nothing(browser: Browser, email: str) -> None:
    await browser.sign_in(email)
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):
        await browser.open("/login")
        own = re.search(r'name="csrf" value="([^"]+)"', browser.page.text)
        assert own is not None
        refused = await browser.http.post("/logout", data={"csrf": own[1]}, headers=headers)
        assert refused.status_code == 403
    for token in ("", "0" * 64, "ä"):
        assert (await browser.http.post("/logout", data={"csrf": token})).status_code == 403
    assert (await browser.open("/")).url.path == "/"


async def test_an_old_form_is_worth_nothing_after_signing_in(browser: Browser, email: str) -> None:
    await browser.open("/login")
    before = re.search(r'name="csrf" value="([^"]+)"', browser.page.text)
    assert before is not None
    await browser.send(email=email, password=PASSWORD)
    assert (await browser.http.post("/logout", data={"csrf": before[1]})).status_code == 403


async def test_no_link_leads_to_another_site(browser: Browser, email: str) -> None:
    for target in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/ä"):
        await browser.http.post("/logout")
        browser.http.cookies.clear()
        await browser.open(f"/login?{httpx.QueryParams({'next': target})}")
        landed = await browser.send(email=email, password=PASSWORD)
        assert (landed.url.host, landed.url.path) == ("127.0.0.1", "/")


async def test_a_session_is_nothing_the_api_takes(browser: Browser, email: str) -> None:
    await browser.sign_in(email)
    assert (await browser.http.get("/v1/auth/me")).status_code == 401
    cookie = browser.http.cookies["talon_session"]
    answer = await browser.http.get("/v1/auth/me", headers={"authorization": f"Bearer {cookie}"})
    assert answer.status_code == 401


async def test_what_a_stranger_types_is_shown_and_not_run(browser: Browser) -> None:
    await browser.open("/login")
    page = await browser.send(email='"><script>alert(1)</script>', password="x" * 20)
    assert "<script>" not in page.text
    page = await browser.open("/cli/verify?code=%22%3E%3Cb%3E")
    assert "<b>" not in page.text


async def test_a_malformed_form_is_a_readable_4xx(browser: Browser) -> None:
    for body in (b"\xff\xfe", b"csrf", b"a=b&" * 100, secrets.token_bytes(100)):
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = await browser.http.post("/login", content=body, headers=form)
        assert answer.status_code in (400, 403)
        assert "text/html" in answer.headers["content-type"]
    assert (await browser.open("/verify-email")).status_code == 400
