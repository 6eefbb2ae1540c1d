"""The second factor, from its setup to the login that asks for it."""

import asyncio
import time
from dataclasses import dataclass
from types import SimpleNamespace

import httpx
import pyotp
import pytest
from sqlalchemy import text, update

from tests.support.factories import Person, audit_rows
from tests.support.vault_api import Tenant
from tests.vault.auth.people import PASSWORD, a_peer, lock_s, log_in, make_person, token_to, wind
from tests.vault.conftest import Connect
from vault.auth import lockout, second_factor
from vault.auth.mfa_schemas import MfaDisableRequest, MfaSetupReply, MfaVerifyRequest, MfaVerifySetupReply
from vault.auth.models import MfaChallenge, SecondFactor
from vault.auth.schemas import MfaRequiredReply
from vault.auth.second_factor import PEOPLE
from vault.context import Context
from vault.db import Database


@dataclass
class Enrolled:
    """Somebody with a second factor; `peer` is where they log in from."""

    person: Person
    secret: str
    recovery_codes: list[str]
    http: httpx.AsyncClient
    database: Database

    async def code(self, steps: int = 0) -> str:
        """A code that was not used yet, `steps` from now."""
        async with self.database.begin() as connection:
            await connection.execute(
                update(SecondFactor).where(SecondFactor.user_id == self.person.id).values(last_step=0)
            )
        return pyotp.TOTP(self.secret).at(time.time(), counter_offset=steps)

    async def challenge(self) -> str:
        """Log in halfway."""
        answer = await log_in(self.http, self.person.email)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["mfa_token"])

    async def verify(self, mfa_token: str, code: str) -> httpx.Response:
        """Try a code."""
        return await self.http.post("/v1/auth/mfa/verify", json={"mfa_token": mfa_token, "code": code})


@pytest.fixture
async def enrolled(connect: Connect, database: Database) -> Enrolled:
    person = await make_person(database)
    http = connect(person.key)
    assert (await http.get("/v1/auth/mfa/status")).json() == {"enabled": False}
    setup = (await http.post("/v1/auth/mfa/setup")).json()
    code = pyotp.TOTP(setup["secret"]).now()
    answer = await http.post("/v1/auth/mfa/verify-setup", json={"code": code})
    assert answer.status_code == 200, answer.text
    return Enrolled(person, setup["secret"], answer.json()["recovery_codes"], connect(peer=a_peer()), database)


async def test_setup_shows_the_secret_and_the_codes_once_and_keeps_neither(
    connect: Connect, context: Context, database: Database, enrolled: Enrolled
) -> None:
    http = connect(enrolled.person.key)
    assert (await http.get("/v1/auth/mfa/status")).json() == {"enabled": True}
    assert (await http.get("/v1/auth/me")).json()["totp_enabled"] is True
    assert len(set(enrolled.recovery_codes)) == 8
    assert all(len(code.replace("-", "")) == 16 for code in enrolled.recovery_codes)
    async with database.begin() as connection:
        where = {"id": enrolled.person.id}
        sealed = (
            await connection.execute(text("SELECT sealed FROM second_factors WHERE user_id = :id"), where)
        ).scalar_one()
        hashes = (
            await connection.execute(text("SELECT code_hash FROM recovery_codes WHERE user_id = :id"), where)
        ).scalars()
        assert {len(each) for each in hashes} == {32}
    assert enrolled.secret.encode() not in sealed
    opened = await context.signer.open(PEOPLE, b"talon/totp/v1" + enrolled.person.id.bytes, sealed)
    assert opened.decode() == enrolled.secret
    assert (await http.post("/v1/auth/mfa/setup")).status_code == 409
    assert (await http.post("/v1/auth/mfa/verify-setup", json={"code": "123456"})).status_code == 409
    assert len(await audit_rows(database, enrolled.person.org_id, "mfa.enable")) == 1


async def test_a_setup_can_be_begun_anew_until_it_is_confirmed(connect: Connect, database: Database) -> None:
    person = await make_person(database)
    http = connect(person.key)
    assert (await http.post("/v1/auth/mfa/verify-setup", json={"code": "123456"})).status_code == 400
    first, second = [(await http.post("/v1/auth/mfa/setup")).json() for _ in range(2)]
    assert first["secret"] != second["secret"]
    uri = second["otpauth_uri"]
    assert uri.startswith("otpauth://totp/Talon:")
    assert f"secret={second['secret']}" in uri
    assert "issuer=Talon" in uri
    assert pyotp.parse_uri(uri).now() == pyotp.TOTP(second["secret"]).now()
    old = pyotp.TOTP(first["secret"]).now()
    assert (await http.post("/v1/auth/mfa/verify-setup", json={"code": old})).status_code == 400
    # it does not count before it is confirmed
    assert (await log_in(connect(peer=a_peer()), person.email)).json()["access_token"] != ""
    new = pyotp.TOTP(second["secret"]).now()
    answers = await asyncio.gather(*(http.post("/v1/auth/mfa/verify-setup", json={"code": new}) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


async def test_a_login_asks_for_a_code_which_counts_once(connect: Connect, enrolled: Enrolled) -> None:
    half = await log_in(enrolled.http, enrolled.person.email)
    assert half.status_code == 200
    assert half.json() == {
        "mfa_required": True,
        "mfa_token": half.json()["mfa_token"],
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 300,
    }
    # the challenge is no token
    challenge = half.json()["mfa_token"]
    assert (await connect(challenge).get("/v1/auth/me")).status_code == 401
    code = await enrolled.code()
    answers = await asyncio.gather(*(enrolled.verify(challenge, code) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]
    token = next(answer.json()["access_token"] for answer in answers if answer.status_code == 200)
    assert (await connect(token).get("/v1/auth/me")).status_code == 200
    # neither the code nor the challenge is good for another login
    assert (await enrolled.verify(await enrolled.challenge(), code)).status_code == 401
    assert (await enrolled.verify(challenge, await enrolled.code(1))).status_code == 401


async def test_one_step_of_clock_drift_is_fine_and_two_are_not(context: Context, enrolled: Enrolled) -> None:
    async with context.database.begin() as connection:
        row = await second_factor.find(connection, enrolled.person.id)
    assert row is not None
    totp = pyotp.TOTP(enrolled.secret)
    for now in (1_800_000_000, 1_800_000_029):
        factor = SimpleNamespace(**{**row._asdict(), "now": now})
        codes = [totp.at(now, counter_offset=offset) for offset in range(-2, 3)]
        steps = [await second_factor.step_of(context, factor, code) for code in codes]
        assert steps == [None, 59_999_999, 60_000_000, 60_000_001, None]
        spaced = f" {codes[2][:3]} {codes[2][3:]}"
        assert await second_factor.step_of(context, factor, spaced) == 60_000_000
        arabic = spaced.translate({ord(str(digit)): chr(0x0660 + digit) for digit in range(10)})
        assert await second_factor.step_of(context, factor, arabic) == 60_000_000


async def test_a_recovery_code_stands_in_once(database: Database, enrolled: Enrolled) -> None:
    # as a telephone's keyboard "improves" it
    code = enrolled.recovery_codes[0].lower().replace("-", "–")
    challenge = await enrolled.challenge()
    assert (await enrolled.verify(challenge, code.lower().replace("-", " "))).status_code == 200
    assert (await enrolled.verify(await enrolled.challenge(), code)).status_code == 401
    assert (await enrolled.verify(await enrolled.challenge(), enrolled.recovery_codes[1])).status_code == 200
    methods = [row.details["method"] for row in await audit_rows(database, enrolled.person.org_id, "auth.success")]
    assert methods == ["password+recovery_code"] * 2


async def test_a_challenge_bears_five_tries_and_the_person_few_more(database: Database, enrolled: Enrolled) -> None:
    challenge, other = await enrolled.challenge(), await enrolled.challenge()
    wrong = [(await enrolled.verify(challenge, "000000")).status_code for _ in range(5)]
    assert wrong == [401] * 5
    subject = lockout.second_factor(enrolled.person.id)
    # neither another challenge nor the right password helps
    await wind(database, subject, -50)
    assert (await enrolled.verify(other, await enrolled.code())).status_code == 429
    third = await enrolled.challenge()
    assert (await enrolled.verify(third, await enrolled.code())).status_code == 429
    await wind(database, subject, 60)
    assert (await enrolled.verify(challenge, await enrolled.code())).status_code == 401
    assert (await enrolled.verify(third, await enrolled.code())).status_code == 200
    assert await lock_s(database, subject) is None


async def test_a_challenge_ends_with_time_and_with_the_password(
    connect: Connect, context: Context, database: Database, enrolled: Enrolled
) -> None:
    challenge = await enrolled.challenge()
    async with database.begin() as connection:
        await connection.execute(
            update(MfaChallenge).where(MfaChallenge.user_id == enrolled.person.id).values(expires_at=text("now()"))
        )
    assert (await enrolled.verify(challenge, await enrolled.code())).status_code == 401
    assert (await enrolled.verify("made up", await enrolled.code())).status_code == 401
    challenge = await enrolled.challenge()
    await enrolled.http.post("/v1/auth/forgot-password", json={"email": enrolled.person.email})
    body = {"token": await token_to(context, enrolled.person.email, "reset-password"), "new_password": PASSWORD}
    assert (await enrolled.http.post("/v1/auth/reset-password", json=body)).status_code == 200
    assert (await enrolled.verify(challenge, await enrolled.code())).status_code == 401
    # a mailbox alone does not get in
    assert (await log_in(enrolled.http, enrolled.person.email)).json()["mfa_required"] is True


@pytest.mark.parametrize("by", ["code", "recovery code", "password"])
async def test_it_is_switched_off_with_a_code_or_the_password(
    connect: Connect, database: Database, enrolled: Enrolled, by: str
) -> None:
    http = connect(enrolled.person.key, peer=a_peer())
    for body in ({}, {"code": "000000"}, {"password": "wrong"}, {"code": None}):
        assert (await http.request("DELETE", "/v1/auth/mfa", json=body)).status_code == 400
    right = {
        "code": {"code": await enrolled.code()},
        "recovery code": {"code": enrolled.recovery_codes[3]},
        "password": {"password": PASSWORD},
    }
    answer = await http.request("DELETE", "/v1/auth/mfa", json=right[by])
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await log_in(enrolled.http, enrolled.person.email)).json()["access_token"] != ""
    async with database.begin() as connection:
        left = await connection.execute(
            text("SELECT count(*) FROM recovery_codes WHERE user_id = :id"), {"id": enrolled.person.id}
        )
        assert left.scalar_one() == 0
    assert (await http.request("DELETE", "/v1/auth/mfa", json=right[by])).status_code == 400
    assert len(await audit_rows(database, enrolled.person.org_id, "mfa.disable")) == 1


async def test_keys_and_agents_are_never_challenged(connect: Connect, enrolled: Enrolled, tenant: Tenant) -> None:
    answer = await enrolled.http.post("/v1/auth/api-key-token", json={"api_key": enrolled.person.key})
    assert answer.status_code == 200
    assert answer.json()["access_token"] != ""
    agent = tenant.as_(await tenant.agent())
    for method, path in (("GET", "status"), ("POST", "setup")):
        assert (await agent.request(method, f"/v1/auth/mfa/{path}")).status_code == 403


async def test_a_narrowed_key_has_no_say(tenant: Tenant) -> None:
    narrowed = tenant.as_(await tenant.member(scopes=("keys/*",)))
    assert (await narrowed.post("/v1/auth/mfa/setup")).status_code == 403
    assert (await narrowed.request("DELETE", "/v1/auth/mfa", json={"password": "x"})).status_code == 403


async def test_a_sealed_secret_moved_to_somebody_else_is_useless(
    connect: Connect, database: Database, enrolled: Enrolled
) -> None:
    other = await make_person(database)
    async with database.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO second_factors (user_id, sealed, confirmed_at) SELECT :to, sealed, now()"
                " FROM second_factors WHERE user_id = :of"
            ),
            {"to": other.id, "of": enrolled.person.id},
        )
    challenge = (await log_in(enrolled.http, other.email)).json()["mfa_token"]
    answer = await enrolled.verify(challenge, pyotp.TOTP(enrolled.secret).now())
    assert answer.status_code not in (200, 401)
    assert enrolled.secret not in answer.text


def test_nothing_of_it_is_in_a_repr() -> None:
    shown = [
        MfaSetupReply(otpauth_uri="hidden", secret="hidden"),
        MfaVerifySetupReply(recovery_codes=["hidden"]),
        MfaVerifyRequest(code="hidden", mfa_token="hidden"),
        MfaDisableRequest(code="hidden", password="hidden"),
        MfaRequiredReply(mfa_token="hidden", expires_in=300),
    ]
    assert "hidden" not in repr(shown)
