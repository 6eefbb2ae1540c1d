"""The platform's administrator rotates the key that signs tokens."""

import asyncio
import time

import httpx
import jwt
import pytest
from fastapi import FastAPI

from signer.client import SignerClient
from tests.support.factories import Person, audit_rows
from tests.support.pace import patient
from tests.support.vault_api import Tenant
from tests.support.vault_app import client

URL = "/v1/admin/jwt-keys"
DEADLINE_S = 60.0


async def token_of(app: FastAPI, person: Person) -> str:
    async with client(app) as http:
        answer = await http.post("/v1/auth/api-key-token", json={"api_key": person.key})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def rotated(http: httpx.AsyncClient, **body: bool) -> str:
    """Rotate, waiting for the rest of the ten seconds since another test did."""
    deadline = time.monotonic() + patient(DEADLINE_S)
    while (answer := await http.post(f"{URL}/rotate", json=body)).status_code == 409:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["kid"])


async def test_tokens_are_signed_with_the_new_key_and_older_ones_live_on(app: FastAPI, admin: Tenant) -> None:
    http = admin.as_(admin.owner)
    old = await token_of(app, admin.owner)
    before = jwt.get_unverified_header(old)["kid"]
    kid = await rotated(http)
    new = await token_of(app, admin.owner)
    assert jwt.get_unverified_header(new)["kid"] == kid != before
    for token in (old, new):
        async with client(app, token) as caller:
            assert (await caller.get("/v1/auth/me")).status_code == 200
    listed = (await http.get(URL, params={"limit": 2})).json()
    assert [key["kid"] for key in listed["keys"]] == [kid, before]
    assert listed["keys"][0].get("counts_until") is None
    assert listed["keys"][1]["counts_until"] > listed["keys"][1]["retired_at"]
    assert listed["total"] >= 2
    assert len((await http.get(URL, params={"limit": 1, "offset": 1})).json()["keys"]) == 1
    (row,) = await audit_rows(admin.database, admin.owner.org_id, "jwt_key.rotate")
    assert (row.resource_id, row.details["at_once"], row.details["retired"]) == (before, False, [before])
    again = await http.post(f"{URL}/rotate")
    assert again.status_code == 409
    assert "ten seconds" in again.json()["detail"]


async def test_a_key_that_was_copied_ends_at_once_in_every_process(
    app: FastAPI, admin: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await token_of(app, admin.owner)
    async with client(app, old) as caller:
        assert (await caller.get("/v1/auth/me")).status_code == 200
        await rotated(admin.as_(admin.owner), at_once=True)
        # as another process, which was not asked to rotate, finds it: by itself, within seconds
        deadline = time.monotonic() + patient(DEADLINE_S)
        while (await caller.get("/v1/auth/me")).status_code != 401:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    async with client(app, await token_of(app, admin.owner)) as caller:
        assert (await caller.get("/v1/auth/me")).status_code == 200


@pytest.mark.parametrize("body", [{"at_once": 1}, {"at_once": "true"}, {"atOnce": True}, []])
async def test_a_body_of_another_shape_rotates_nothing(admin: Tenant, signer: SignerClient, body: object) -> None:
    before = await signer.jwt_keys()
    assert (await admin.as_(admin.owner).post(f"{URL}/rotate", json=body)).status_code == 400
    assert await signer.jwt_keys() == before


async def test_only_the_platforms_administrator_may(admin: Tenant, tenant: Tenant, signer: SignerClient) -> None:
    before = await signer.jwt_keys()
    for who in (tenant.owner, await tenant.agent()):
        http = tenant.as_(who)
        assert (await http.get(URL)).status_code == 403
        assert (await http.post(f"{URL}/rotate", json={})).status_code == 403
    assert await signer.jwt_keys() == before
