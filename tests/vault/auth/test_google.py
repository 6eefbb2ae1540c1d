"""Logging in with Google: a real issuer on loopback stands for it."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from tests.support.factories import Person, audit_rows, make_user
from tests.support.issuer import Issuer
from tests.support.vault_app import client, make_app
from tests.vault.auth.people import PASSWORD, a_peer, an_email, log_in, mails_to, make_person
from tests.vault.conftest import Connect
from vault.auth.models import User
from vault.auth.routers import ROUTERS
from vault.context import Context
from vault.db import Database


@pytest.fixture
def with_google(context: Context, issuer: Issuer) -> FastAPI:
    options = replace(
        context.options,
        google_client_ids=("talon-web", "talon-cli"),
        google_issuers=(issuer.url,),
        google_jwks_url=issuer.jwks_url,
    )
    return make_app(replace(context, options=options), ROUTERS)


@pytest.fixture
async def http(with_google: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(with_google, peer=a_peer()) as made:
        yield made


def claims_of(email: str, **more: Any) -> dict[str, Any]:
    subject = secrets.token_hex(10)
    return {"sub": subject, "email": email, "email_verified": True, "aud": "talon-cli", "name": "Ada"} | more


async def google(http: httpx.AsyncClient, id_token: str) -> httpx.Response:
    return await http.post("/v1/auth/google", json={"id_token": id_token})


async def test_a_new_person_gets_an_account_and_an_organisation(
    connect: Connect, context: Context, database: Database, issuer: Issuer, http: httpx.AsyncClient
) -> None:
    email = an_email()
    claims = claims_of(email.upper())
    # somebody's first login, several times at once
    answers = await asyncio.gather(*(google(http, issuer.token(**claims)) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    people = [(await connect(answer.json()["access_token"]).get("/v1/auth/me")).json() for answer in answers]
    assert len({person["id"] for person in people}) == 1
    me = people[0]
    assert (me["email"], me["display_name"], me["auth_method"], me["role"]) == (email, "Ada", "google", "owner")
    assert [mail.subject for mail in await mails_to(context, email)] == ["Welcome to Talon"]
    # the address may change at Google: the subject stays
    moved = await google(http, issuer.token(**claims_of(an_email(), sub=claims["sub"])))
    assert (await connect(moved.json()["access_token"]).get("/v1/auth/me")).json()["id"] == me["id"]
    # no password opens it, and no mail makes one
    assert (await log_in(http, email)).status_code == 401
    await http.post("/v1/auth/forgot-password", json={"email": email})
    assert len(await mails_to(context, email)) == 1


LINK = "/v1/auth/google/link"


def a_domain() -> str:
    return f"{secrets.token_hex(6)}.example"


async def subject_of(database: Database, person: Person) -> str | None:
    async with database.begin() as connection:
        found = await connection.execute(select(User.google_subject).where(User.id == person.id))
        return found.scalar_one()


async def told(context: Context, person: Person) -> int:
    return [mail.subject for mail in await mails_to(context, person.email)].count(
        "A Google account opens your Talon account"
    )


@pytest.mark.parametrize("domain", ["gmail.com", "googlemail.com", "hosted.example"])
async def test_where_google_is_the_authority_the_account_is_linked_and_its_person_told(
    connect: Connect, context: Context, database: Database, issuer: Issuer, http: httpx.AsyncClient, domain: str
) -> None:
    person = await make_person(database, email=f"{secrets.token_hex(8)}@{domain}")
    claims = claims_of(person.email, hd="Hosted.example" if domain == "hosted.example" else None)
    for _ in range(2):
        answer = await google(http, issuer.token(**claims))
        me = (await connect(answer.json()["access_token"]).get("/v1/auth/me")).json()
        assert (me["id"], me["auth_method"]) == (str(person.id), "password")
    assert await told(context, person) == 1
    assert (await log_in(http, person.email, PASSWORD)).status_code == 200
    (row,) = await audit_rows(database, person.org_id, "user.link_google")
    assert row.details == {"by": "google"}
    # another Google account with the same address is somebody else
    other = await google(http, issuer.token(**claims_of(person.email, hd=claims["hd"])))
    assert other.status_code == 401
    assert await subject_of(database, person) == claims["sub"]


@pytest.mark.parametrize(
    "hosted",
    [
        *(None, "", "other.example", "example", "{domain}.", " {domain}", "sub.{domain}", "x{domain}", "gmail.com"),
        *(True, ["{domain}"], {"{domain}": 1}, "\u212a{domain}"),
    ],
)
async def test_where_google_is_no_authority_the_password_comes_first(
    context: Context, database: Database, issuer: Issuer, http: httpx.AsyncClient, hosted: Any
) -> None:
    domain = f"k{a_domain()}"
    person = await make_person(database, email=f"ada@{domain}")
    if isinstance(hosted, str):
        hosted = hosted.replace("{domain}", domain).replace("\u212ak", "\u212a")
    answer = await google(http, issuer.token(**claims_of(person.email, hd=hosted)))
    assert answer.status_code == 401
    body = answer.json()
    assert body["type"] == "google_link_required"
    assert LINK in body["detail"]
    assert "access_token" not in body
    assert await subject_of(database, person) is None
    assert await told(context, person) == 0
    assert [row.details for row in await audit_rows(database, person.org_id, "auth.failure")] == [
        {"method": "google"}
    ]


async def test_a_mailbox_that_only_looks_the_same_opens_nothing(
    database: Database, issuer: Issuer, http: httpx.AsyncClient
) -> None:
    name = secrets.token_hex(8)
    person = await make_person(database, email=f"k{name}@gmail.com")
    answer = await google(http, issuer.token(**claims_of(f"\u212a{name}@gmail.com")))
    assert answer.status_code == 401
    assert await subject_of(database, person) is None


async def test_who_gives_the_password_links_google_and_logs_in_with_it_from_then_on(
    with_google: FastAPI, context: Context, database: Database, issuer: Issuer, http: httpx.AsyncClient
) -> None:
    person = await make_person(database, email=f"ada@{a_domain()}")
    claims = claims_of(person.email)
    assert (await google(http, issuer.token(**claims))).status_code == 401
    token = (await log_in(http, person.email)).json()["access_token"]
    async with client(with_google, token, peer=a_peer()) as signed_in:

        async def link(**body: Any) -> httpx.Response:
            return await signed_in.post(LINK, json={"id_token": issuer.token(**claims), "password": PASSWORD} | body)

        # a session alone may be in somebody else's hands, and so may a Google account of another address
        assert (
            await http.post(LINK, json={"id_token": issuer.token(**claims), "password": PASSWORD})
        ).status_code == 401
        assert (await link(password="Wrong-Horse-7-Staple")).status_code == 400
        assert (await link(password="")).status_code == 400
        assert (await link(id_token=issuer.token(**claims_of(an_email())))).status_code == 400
        assert (await link(id_token=issuer.token(**(claims | {"email_verified": False})))).status_code == 401
        assert (await link(id_token=issuer.token(**(claims | {"aud": "somebody-else"})))).status_code == 401
        assert (await signed_in.post(LINK, json={"id_token": issuer.token(**claims)})).status_code == 400
        assert await subject_of(database, person) is None
        assert (await link()).status_code == 204
        assert (await link()).status_code == 204
        assert (await link(id_token=issuer.token(**claims_of(person.email)))).status_code == 409
    assert await subject_of(database, person) == claims["sub"]
    assert await told(context, person) == 1
    (row,) = await audit_rows(database, person.org_id, "user.link_google")
    assert (row.details, row.actor_id) == ({"by": "password"}, str(person.id))
    answer = await google(http, issuer.token(**claims))
    assert answer.status_code == 200
    # and takes it back, which ends what Google has opened
    token = answer.json()["access_token"]
    async with client(with_google, token, peer=a_peer()) as by_google:
        assert (await by_google.delete(LINK)).status_code == 204
        assert (await by_google.get("/v1/auth/me")).status_code == 401
    assert (await google(http, issuer.token(**claims))).status_code == 401
    assert (await log_in(http, person.email)).status_code == 200


async def test_a_google_account_opens_one_account_only(
    with_google: FastAPI, database: Database, issuer: Issuer, http: httpx.AsyncClient
) -> None:
    first, second = [await make_person(database, email=f"ada@{a_domain()}") for _ in range(2)]
    subject = secrets.token_hex(10)
    for person, expected in ((first, 204), (second, 409)):
        token = (await log_in(http, person.email)).json()["access_token"]
        body = {"id_token": issuer.token(**claims_of(person.email, sub=subject)), "password": PASSWORD}
        async with client(with_google, token, peer=a_peer()) as signed_in:
            assert (await signed_in.post(LINK, json=body)).status_code == expected
    assert await subject_of(database, first) == subject
    assert await subject_of(database, second) is None


async def test_an_account_without_a_password_keeps_its_google_account(
    with_google: FastAPI, issuer: Issuer, http: httpx.AsyncClient
) -> None:
    claims = claims_of(an_email())
    token = (await google(http, issuer.token(**claims))).json()["access_token"]
    async with client(with_google, token, peer=a_peer()) as signed_in:
        assert (await signed_in.delete(LINK)).status_code == 409
    assert (await google(http, issuer.token(**claims))).status_code == 200


async def test_an_account_whose_address_is_not_verified_is_not_linked(
    database: Database, issuer: Issuer, http: httpx.AsyncClient
) -> None:
    person = await make_person(database, email=f"{secrets.token_hex(8)}@gmail.com")
    async with database.begin() as connection:
        await connection.execute(update(User).where(User.id == person.id).values(email_verified=False))
    assert (await google(http, issuer.token(**claims_of(person.email)))).status_code == 401
    assert await subject_of(database, person) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"email": None},
        {"email": "no address"},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": "a\x00b"},
        {"aud": "somebody-else"},
        {"iss": "https://accounts.google.com"},
        {"exp": int(time.time()) - 3600},
    ],
)
async def test_what_does_not_count(
    database: Database, issuer: Issuer, http: httpx.AsyncClient, claims: dict[str, Any]
) -> None:
    email = an_email()
    answer = await google(http, issuer.token(**(claims_of(email) | claims)))
    assert answer.status_code == 401
    assert isinstance(answer.json()["detail"], str)
    async with database.begin() as connection:
        assert (await connection.execute(select(User.id).where(User.email == email))).one_or_none() is None


async def test_a_closed_account_stays_closed(database: Database, issuer: Issuer, http: httpx.AsyncClient) -> None:
    closed = await make_user(database, is_active=False)
    assert (await google(http, issuer.token(**claims_of(closed.email)))).status_code == 401


async def test_a_strange_name_is_left_out(connect: Connect, issuer: Issuer, http: httpx.AsyncClient) -> None:
    for name in ("a\x00b", 7, None):
        answer = await google(http, issuer.token(**claims_of(an_email(), name=name)))
        me = (await connect(answer.json()["access_token"]).get("/v1/auth/me")).json()
        assert me["display_name"] == ""


async def test_it_must_be_set_up(connect: Connect, issuer: Issuer) -> None:
    answer = await google(connect(), issuer.token(**claims_of(an_email())))
    assert answer.status_code == 400
    assert "not set up" in answer.json()["detail"]
    assert (await connect().post("/v1/auth/google", json={})).status_code == 400
