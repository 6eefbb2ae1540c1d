"""Invitations: mailed, taken once by the person they are for, and never a way into a wrong place."""

import asyncio
import re
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from tests.support.factories import Person, audit_rows, make_user
from tests.support.vault_api import Tenant
from vault.auth import outbox

ACCEPT = "/v1/org/invitations/accept"


async def invite(tenant: Tenant, email: str, role: str = "member", who: Person | None = None) -> str:
    """Invite an address and return the token of the mail."""
    answer = await tenant.as_(who or tenant.owner).post("/v1/org/invite", json={"email": email, "role": role})
    assert answer.status_code == 200, answer.text
    mail = (await mails(tenant, email))[-1]
    found = re.search(r"https://talon\.example/invite\?token=([\w-]+)", mail["body"])
    assert found is not None
    return found[1]


async def mails(tenant: Tenant, email: str) -> list[Any]:
    rows = await tenant.rows(
        "SELECT id, sealed FROM outbox_mails WHERE recipient = :to ORDER BY created_at", to=email
    )
    return [{"body": await outbox.text_of(tenant.app.state.context, SimpleNamespace(**row))} for row in rows]


async def org_of(tenant: Tenant, person: Person) -> tuple[Any, str]:
    (row,) = await tenant.rows("SELECT org_id, role FROM memberships WHERE user_id = :id", id=person.id)
    return row["org_id"], row["role"]


async def test_an_invited_person_moves(tenant: Tenant) -> None:
    person = await make_user(tenant.database)
    token = await invite(tenant, person.email, "admin")
    http = tenant.as_(person)
    jwt = (await http.post("/v1/auth/api-key-token", json={"api_key": person.key})).json()["access_token"]
    (offer,) = (await http.get("/v1/org/invitations")).json()["invitations"]
    assert (offer["org_id"], offer["role"]) == (str(tenant.owner.org_id), "admin")
    assert await tenant.rows("SELECT FROM email_tokens WHERE token_hash::text LIKE :t", t=f"%{token}%") == []

    answer = await http.post(ACCEPT, json={"token": token})
    assert answer.status_code == 200
    assert answer.json()["org_id"] == str(tenant.owner.org_id)
    assert await org_of(tenant, person) == (tenant.owner.org_id, "admin")
    assert len((await http.get("/v1/org/members")).json()["members"]) == 2
    assert (await http.get("/v1/org/invitations")).json() == {"invitations": []}
    assert (await http.post(ACCEPT, json={"token": token})).status_code == 400
    http.headers["authorization"] = f"Bearer {jwt}"
    assert (await http.get("/v1/org/members")).status_code == 401
    assert len(await audit_rows(tenant.database, tenant.owner.org_id, "org.member_join")) == 1
    assert len(await audit_rows(tenant.database, person.org_id, "org.member_remove")) == 1


async def test_known_and_unknown_addresses_are_answered_alike(tenant: Tenant) -> None:
    known = await make_user(tenant.database)
    http = tenant.as_(tenant.owner)
    answers, texts = [], []
    for email in (known.email, f"{uuid4()}@example.com"):
        answer = await http.post("/v1/org/invite", json={"email": email.upper()})
        answers.append((answer.status_code, answer.text.replace(email, "")))
        texts.append([re.sub(r"token=\S+", "", row["body"]) for row in await mails(tenant, email)])
    assert answers[0] == answers[1]
    assert answers[0][0] == 200
    assert texts[0] == texts[1]
    assert len(texts[0]) == 1


async def test_somebody_new_signs_up_and_accepts_without_the_token(tenant: Tenant) -> None:
    email = f"{uuid4()}@example.com"
    await invite(tenant, email)
    http = tenant.as_(None)
    assert (await http.post("/v1/auth/signup", json={"email": email, "password": "Zebra!Kayak7Moon"})).is_success
    found = re.search(r"verify-email\?token=([\w-]+)", (await mails(tenant, email))[-1]["body"])
    assert found is not None
    token = (await http.post("/v1/auth/verify-email", json={"token": found[1]})).json()["access_token"]
    http.headers["authorization"] = f"Bearer {token}"
    (offer,) = (await http.get("/v1/org/invitations")).json()["invitations"]
    assert (await http.post(ACCEPT, json={"org_id": offer["org_id"]})).status_code == 200
    members = (await tenant.as_(tenant.owner).get("/v1/org/members")).json()["members"]
    assert members[-1]["email"] == email


async def test_only_the_invited_address_may_accept(tenant: Tenant) -> None:
    person, other = await make_user(tenant.database), await make_user(tenant.database)
    token = await invite(tenant, person.email)
    http = tenant.as_(other)
    assert (await http.post(ACCEPT, json={"token": token})).status_code == 403
    assert (await http.post(ACCEPT, json={"org_id": str(tenant.owner.org_id)})).status_code == 400
    narrowed = await make_user(tenant.database, scopes=("a/**",))
    own = await invite(tenant, narrowed.email)
    assert (await tenant.as_(narrowed).post(ACCEPT, json={"token": own})).status_code == 403
    for body in ({}, {"token": token, "org_id": str(tenant.owner.org_id)}, {"token": 1}, {"token": "no"}):
        assert (await tenant.as_(person).post(ACCEPT, json=body)).status_code == 400


@pytest.mark.parametrize("what", ["vault", "agent", "member"])
async def test_an_organisation_with_something_in_it_is_not_left_alone(tenant: Tenant, what: str) -> None:
    leaving = await Tenant.found(tenant.app)
    await getattr(leaving, what)()
    token = await invite(tenant, leaving.owner.email)
    answer = await leaving.as_(leaving.owner).post(ACCEPT, json={"token": token})
    assert answer.status_code == 409
    assert "last owner" in answer.json()["detail"]
    await leaving.member("owner")
    assert (await leaving.as_(leaving.owner).post(ACCEPT, json={"token": token})).status_code == 200
    await leaving.close()


async def test_two_invitations_accepted_at_once_are_one_move(tenant: Tenant) -> None:
    other = await Tenant.found(tenant.app)
    person = await make_user(tenant.database)
    tokens = [await invite(tenant, person.email), await invite(other, person.email)]
    answers = await asyncio.gather(*(tenant.as_(person).post(ACCEPT, json={"token": token}) for token in tokens))
    assert sorted(answer.status_code for answer in answers)[0] == 200
    joined = [row for org in (tenant, other) for row in await audit_rows(org.database, org.owner.org_id)]
    # one after the other is a move too; at once, the second finds that it has left already
    moved = [answer for answer in answers if answer.status_code == 200]
    assert len([row for row in joined if row.action == "org.member_join"]) == len(moved)
    await other.close()


async def test_an_owner_and_the_other_who_leave_at_once(tenant: Tenant) -> None:
    """Both owners of one organisation with a vault accept elsewhere: one of them stays."""
    leaving = await Tenant.found(tenant.app)
    second = await leaving.member("owner")
    await leaving.vault()
    tokens = {person: await invite(tenant, person.email) for person in (leaving.owner, second)}
    answers = await asyncio.gather(
        *(tenant.as_(person).post(ACCEPT, json={"token": token}) for person, token in tokens.items())
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    await leaving.close()


async def test_a_newer_invitation_replaces_the_older(tenant: Tenant) -> None:
    person = await make_user(tenant.database)
    old, new = await invite(tenant, person.email, "owner"), await invite(tenant, person.email)
    assert (await tenant.as_(person).post(ACCEPT, json={"token": old})).status_code == 400
    assert (await tenant.as_(person).post(ACCEPT, json={"token": new})).json()["role"] == "member"


async def test_what_a_dismissed_administrator_started_ends(tenant: Tenant) -> None:
    admin, person = await tenant.member("admin"), await make_user(tenant.database)
    token = await invite(tenant, person.email, who=admin)
    await tenant.as_(tenant.owner).patch(f"/v1/org/members/{admin.id}", json={"role": "member"})
    assert (await tenant.as_(person).post(ACCEPT, json={"token": token})).status_code == 400
    assert (await tenant.as_(person).get("/v1/org/invitations")).json() == {"invitations": []}


async def test_an_expired_invitation(tenant: Tenant) -> None:
    person = await make_user(tenant.database)
    token = await invite(tenant, person.email)
    await tenant.change("UPDATE email_tokens SET expires_at = now() WHERE email = :email", email=person.email)
    assert (await tenant.as_(person).post(ACCEPT, json={"token": token})).status_code == 400


async def test_who_may_invite(tenant: Tenant) -> None:
    admin, member, agent = await tenant.member("admin"), await tenant.member(), await tenant.agent()
    body = {"email": f"{uuid4()}@example.com"}
    assert (await tenant.as_(admin).post("/v1/org/invite", json={**body, "role": "owner"})).status_code == 403
    for who in (member, agent):
        assert (await tenant.as_(who).post("/v1/org/invite", json=body)).status_code == 403
    http = tenant.as_(admin)
    assert (await http.post("/v1/org/invite", json={"email": member.email})).status_code == 409
    for bad in ({}, {"email": "nobody"}, {**body, "role": "king"}, {"email": "a@b\n.c"}):
        assert (await http.post("/v1/org/invite", json=bad)).status_code == 400
    assert (await http.post("/v1/org/invite", json={**body, "role": None})).status_code == 200


async def test_nobodys_mailbox_is_filled(tenant: Tenant) -> None:
    email = f"{uuid4()}@example.com"
    send = tenant.as_(tenant.owner).post
    answers = [await send("/v1/org/invite", json={"email": email}) for _ in range(outbox.MAX_ALIKE + 1)]
    assert [answer.status_code for answer in answers] == [200] * outbox.MAX_ALIKE + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert len(await mails(tenant, email)) == outbox.MAX_ALIKE
