"""Signing up, confirming, logging in, and the first human."""

import asyncio
import re
import secrets
import unicodedata
from typing import Any

import httpx
import jwt
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, text, update

from tests.support.factories import audit_rows, make_user
from tests.vault.auth.people import a_peer
from tests.vault.conftest import Connect
from vault.auth.models import EmailToken, User
from vault.auth.passwords import hash_password
from vault.auth.service import NOBODYS_ORG
from vault.db import Database

PASSWORD = "Correct-Horse-7-Staple"


def an_address() -> str:
    return f"{secrets.token_hex(8)}@example.com"


async def outbox(connect: Connect, database: Database, to: str) -> list[dict[str, Any]]:
    admin = await make_user(database, is_platform_admin=True)
    answer = await connect(admin.key).get("/v1/admin/outbox", params={"to": to})
    assert answer.status_code == 200
    return answer.json()["messages"]


async def sign_up(connect: Connect, email: str, **more: Any) -> httpx.Response:
    return await connect().post("/v1/auth/signup", json={"email": email, "password": PASSWORD} | more)


async def mailed_token(connect: Connect, database: Database, email: str) -> str:
    mail = (await outbox(connect, database, email))[0]
    found = re.search(r"https://talon\.example/verify-email\?token=(\S+)", mail["text"])
    assert found
    return found[1]


async def test_from_signup_to_a_login(connect: Connect, database: Database) -> None:
    email = an_address()
    answer = await sign_up(connect, email.upper(), display_name="Ada")
    assert answer.status_code == 200
    assert answer.json() == {"message": answer.json()["message"], "email": email}
    # nothing exists until the address is confirmed
    before = await connect().post("/v1/auth/token", json={"email": email, "password": PASSWORD})
    assert before.status_code == 401

    token = await mailed_token(connect, database, email)
    confirmed = await connect().post("/v1/auth/verify-email", json={"token": token})
    assert confirmed.status_code == 200
    assert confirmed.json().keys() == {"access_token", "token_type", "expires_in"}
    me = (await connect(confirmed.json()["access_token"]).get("/v1/auth/me")).json()
    assert me["email"] == email
    assert me["display_name"] == "Ada"
    assert me["role"] == "owner"
    assert me["email_verified"] is True
    assert me["created_at"].endswith("Z")

    again = await connect().post("/v1/auth/verify-email", json={"token": token})
    assert again.status_code == 400

    login = await connect().post("/v1/auth/token", json={"email": f" {email.upper()} ", "password": PASSWORD})
    assert login.status_code == 200
    assert login.json()["token_type"] == "Bearer"
    assert login.json()["expires_in"] == 900
    assert (await connect(login.json()["access_token"]).get("/v1/auth/me")).json()["id"] == me["id"]


async def test_a_users_token_says_what_the_contract_says(connect: Connect, database: Database) -> None:
    person = await make_user(database, password_hash=await hash_password(PASSWORD))
    login = await connect().post("/v1/auth/token", json={"email": person.email, "password": PASSWORD})
    token = login.json()["access_token"]
    assert jwt.get_unverified_header(token)["alg"] == "EdDSA"
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["sub"] == f"user:{person.id}"
    assert claims["org"] == str(person.org_id)
    assert claims["scopes"] == ["**"]
    assert claims["vault_ids"] == []
    assert claims["intents_api_enabled"] is False
    assert claims["exp"] - claims["iat"] == 900
    assert isinstance(claims["jti"], str)
    row = (await audit_rows(database, person.org_id, "auth.success"))[0]
    assert row.details == {"method": "password", "jti": claims["jti"]}
    assert row.ip_address == "203.0.113.9"


COMPOSED, DECOMPOSED = "Zwölf Böxkämpfer 7!", unicodedata.normalize("NFD", "Zwölf\u00a0Böxkämpfer\u30007!")


@pytest.mark.parametrize(("first", "later"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
async def test_a_password_is_the_same_from_every_keyboard(
    connect: Connect, database: Database, first: str, later: str
) -> None:
    email = an_address()
    assert (await sign_up(connect, email, password=first)).status_code == 200
    token = await mailed_token(connect, database, email)
    assert (await connect().post("/v1/auth/verify-email", json={"token": token})).status_code == 200
    for password, status in ((later, 200), (first, 200), (later.upper(), 401), (later.replace("m", "\uff4d"), 401)):
        # each from elsewhere: more than five at once would be too many from one address
        answer = await connect(peer=a_peer()).post("/v1/auth/token", json={"email": email, "password": password})
        assert answer.status_code == status, password
    # and so it is where it is changed
    session = (await connect().post("/v1/auth/token", json={"email": email, "password": later})).json()[
        "access_token"
    ]
    body = {"current_password": later, "new_password": unicodedata.normalize("NFD", "Ganz-Ándere-8-Wörter")}
    assert (await connect(session).post("/v1/auth/change-password", json=body)).status_code == 204
    body = {"email": email, "password": "Ganz-Ándere-8-Wörter"}
    assert (await connect().post("/v1/auth/token", json=body)).status_code == 200


async def test_a_password_hashed_as_it_was_typed_still_opens_and_gets_its_form(
    connect: Connect, database: Database
) -> None:
    person = await make_user(database, password_hash=PasswordHasher().hash(DECOMPOSED))

    async def answer_to(password: str) -> int:
        body = {"email": person.email, "password": password}
        return (await connect().post("/v1/auth/token", json=body)).status_code

    # only as it was typed then
    assert await answer_to(COMPOSED) == 401
    assert await answer_to(DECOMPOSED) == 200
    assert await answer_to(COMPOSED) == 200
    assert await answer_to(DECOMPOSED) == 200
    async with database.begin() as connection:
        stored = (await connection.execute(select(User.password_hash).where(User.id == person.id))).scalar_one()
    assert PasswordHasher().verify(stored, COMPOSED)


async def test_the_answer_to_signup_does_not_tell_who_has_an_account(connect: Connect, database: Database) -> None:
    known = await make_user(database)
    unknown = an_address()
    answers = [await sign_up(connect, known.email), await sign_up(connect, unknown)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["message"] == answers[1].json()["message"]
    mails = [await outbox(connect, database, email) for email in (known.email, unknown)]
    assert [len(each) for each in mails] == [1, 1]
    assert "token" not in mails[0][0]["text"]


async def test_the_same_person_signing_up_twice_gets_one_account(connect: Connect, database: Database) -> None:
    email = an_address()
    await sign_up(connect, email)
    first = await mailed_token(connect, database, email)
    await sign_up(connect, email)
    second = await mailed_token(connect, database, email)
    assert first != second
    assert (await connect().post("/v1/auth/verify-email", json={"token": second})).status_code == 200
    assert (await connect().post("/v1/auth/verify-email", json={"token": first})).status_code == 400
    async with database.begin() as connection:
        assert len((await connection.execute(select(User.id).where(User.email == email))).all()) == 1


async def test_of_many_confirmations_at_once_one_wins(connect: Connect, database: Database) -> None:
    email = an_address()
    tokens = []
    for _ in range(2):
        await sign_up(connect, email)
        tokens.append(await mailed_token(connect, database, email))
    http = connect()
    answers = await asyncio.gather(
        *(http.post("/v1/auth/verify-email", json={"token": token}) for token in tokens * 4)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7


async def test_an_old_signup_token_is_refused(connect: Connect, database: Database) -> None:
    email = an_address()
    await sign_up(connect, email)
    token = await mailed_token(connect, database, email)
    async with database.begin() as connection:
        await connection.execute(
            update(EmailToken).where(EmailToken.email == email).values(expires_at=text("now() - interval '1 second'"))
        )
    assert (await connect().post("/v1/auth/verify-email", json={"token": token})).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "ada@example.com"},
        {"email": "not an address", "password": PASSWORD},
        {"email": "ada@example.com\r\nBcc: eve@example.com", "password": PASSWORD},
        {"email": "ada@example.com", "password": "short"},
        {"email": "ada@example.com", "password": 123456789012},
        {"email": "ada@example.com", "password": PASSWORD + "\x00"},
        {"email": "ada@example.com", "password": PASSWORD, "display_name": "x" * 256},
        [],
        "text",
    ],
)
async def test_a_bad_signup_is_400_and_sends_nothing(connect: Connect, database: Database, body: Any) -> None:
    before = await outbox(connect, database, "ada@example.com")
    answer = await connect().post("/v1/auth/signup", json=body)
    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)
    assert PASSWORD not in answer.text
    assert await outbox(connect, database, "ada@example.com") == before


async def test_wrong_password_unknown_address_and_closed_account_look_alike(
    connect: Connect, database: Database
) -> None:
    stored = await hash_password(PASSWORD)
    person = await make_user(database, password_hash=stored)
    closed = await make_user(database, password_hash=stored, is_active=False)
    keyless = await make_user(database)
    attempts = [
        (person.email, PASSWORD + "x"),
        (an_address(), PASSWORD),
        (closed.email, PASSWORD),
        (keyless.email, PASSWORD),
        ("", ""),
        (person.email, PASSWORD * 60),
    ]
    answers = [
        await connect().post("/v1/auth/token", json={"email": email, "password": password})
        for email, password in attempts
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(await audit_rows(database, person.org_id, "auth.failure")) == 1
    assert len(await audit_rows(database, closed.org_id, "auth.failure")) == 1
    assert await audit_rows(database, NOBODYS_ORG, "auth.failure")


async def test_the_outbox_is_for_the_platform_admin(connect: Connect, database: Database) -> None:
    owner = await make_user(database)
    narrowed = await make_user(database, is_platform_admin=True, scopes=("keys/*",))
    assert (await connect().get("/v1/admin/outbox")).status_code == 401
    assert (await connect(owner.key).get("/v1/admin/outbox")).status_code == 403
    assert (await connect(narrowed.key).get("/v1/admin/outbox")).status_code == 403


async def test_the_outbox_is_newest_first_and_paged(connect: Connect, database: Database) -> None:
    email = an_address()
    for _ in range(3):
        await sign_up(connect, email)
    mails = await outbox(connect, database, email)
    assert [mail["created_at"] for mail in mails] == sorted((mail["created_at"] for mail in mails), reverse=True)
    assert mails[0].keys() == {"id", "to", "subject", "text", "created_at", "sent_at"}
    assert mails[0]["sent_at"] is None
    admin = await make_user(database, is_platform_admin=True)
    page = await connect(admin.key).get("/v1/admin/outbox", params={"to": email.upper(), "limit": 1, "offset": 1})
    assert [mail["id"] for mail in page.json()["messages"]] == [mails[1]["id"]]
    for bad in ({"limit": 0}, {"limit": 201}, {"limit": "x"}, {"offset": -1}):
        assert (await connect(admin.key).get("/v1/admin/outbox", params=bad)).status_code == 400
