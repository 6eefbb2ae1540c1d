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
from sqlalchemy import select

from tests.support.factories import audit_rows, make_user
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


async def test_an_account_with_the_address_is_linked_and_keeps_its_password(
    connect: Connect, database: Database, issuer: Issuer, http: httpx.AsyncClient
) -> None:
    person = await make_person(database)
    claims = claims_of(person.email)
    answer = await google(http, issuer.token(**claims))
    me = (await connect(answer.json()["access_token"]).get("/v1/auth/me")).json()
    assert (me["id"], me["auth_method"]) == (str(person.id), "password")
    assert (await log_in(http, person.email, PASSWORD)).status_code == 200
    assert len(await audit_rows(database, person.org_id, "user.link_google")) == 1
    # another Google account with the same address is somebody else
    other = await google(http, issuer.token(**claims_of(person.email)))
    assert other.status_code == 401
    async with database.begin() as connection:
        subject = await connection.execute(select(User.google_subject).where(User.id == person.id))
        assert subject.scalar_one() == claims["sub"]


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
