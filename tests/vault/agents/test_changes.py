"""What changing an agent does to its access: tokens from before, its vaults, its certificate."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.factories import Robot
from tests.support.vault_api import Tenant


async def token_of(tenant: Tenant, robot: Robot) -> dict[str, str]:
    answer = await tenant.as_(None).post("/v1/auth/agent-token", json={"api_key": robot.key})
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def test_switching_an_agent_on_again_revives_no_token(tenant: Tenant) -> None:
    robot = await tenant.agent()
    owner, anybody = tenant.as_(tenant.owner), tenant.as_(None)
    old = await token_of(tenant, robot)
    assert (await anybody.get("/v1/agents/me", headers=old)).status_code == 200
    for active, of_key in ((False, 401), (True, 200)):
        changed = await owner.patch(f"/v1/agents/{robot.id}", json={"is_active": active})
        assert changed.json()["is_active"] is active
        assert (await anybody.get("/v1/agents/me", headers=old)).status_code == 401
        assert (await tenant.as_(robot).get("/v1/agents/me")).status_code == of_key
        assert (await anybody.post("/v1/auth/agent-token", json={"api_key": robot.key})).status_code == of_key
    fresh = await token_of(tenant, robot)
    assert (await anybody.get("/v1/agents/me", headers=fresh)).status_code == 200


async def test_expiry_counts_at_once_and_may_lie_in_the_past(tenant: Tenant) -> None:
    robot = await tenant.agent()
    token = await token_of(tenant, robot)
    url, past = f"/v1/agents/{robot.id}", "2020-01-01T00:00:00Z"
    changed = await tenant.as_(tenant.owner).patch(url, json={"expires_at": past})
    assert changed.json()["expires_at"] == past
    assert (await tenant.as_(robot).get("/v1/agents/me")).status_code == 401
    assert (await tenant.as_(None).get("/v1/agents/me", headers=token)).status_code == 401
    made = await tenant.as_(tenant.owner).post("/v1/agents", json={"name": "late", "expires_at": past})
    assert made.status_code == 201
    refused = await tenant.as_(None).post("/v1/auth/agent-token", json={"api_key": made.json()["api_key"]})
    assert (refused.status_code, refused.json()["detail"]) == (401, "Agent has expired")


async def test_an_agent_is_bound_to_vaults_of_its_organisation_only(tenant: Tenant) -> None:
    http = tenant.as_(tenant.owner)
    stranger = await Tenant.found(tenant.app)
    mine, gone, theirs = await tenant.vault(), await tenant.vault(), await stranger.vault()
    await stranger.close()
    robot = await tenant.agent(vault_ids=[UUID(gone)])
    assert (await http.delete(f"/v1/vaults/{gone}")).status_code == 204
    url = f"/v1/agents/{robot.id}"
    details = set()
    for foreign in (theirs, str(uuid4())):
        answers = [
            await http.patch(url, json={"vault_ids": [mine, foreign]}),
            await http.post("/v1/agents", json={"name": "a", "vault_ids": [foreign]}),
        ]
        assert [answer.status_code for answer in answers] == [400, 400]
        details |= {answer.json()["detail"].replace(foreign, "X") for answer in answers}
    assert len(details) == 1
    assert (await http.post("/v1/agents", json={"name": "a", "vault_ids": [gone]})).status_code == 400
    # what it is bound to already may be sent back
    answer = await http.patch(url, json={"vault_ids": [gone, mine]})
    assert answer.json()["vault_ids"] == [gone, mine]


async def test_a_fingerprint_is_kept_in_one_form_and_names_one_agent(tenant: Tenant) -> None:
    http = tenant.as_(tenant.owner)
    plain = uuid4().hex * 2
    spelled = ":".join(plain[at : at + 2] for at in range(0, 64, 2)).upper()
    body = {"name": "a", "auth_method": "mtls", "client_cert_fingerprint": spelled}
    agent = (await http.post("/v1/agents", json=body)).json()["agent"]
    assert agent["client_cert_fingerprint"] == plain
    again = await http.post("/v1/agents", json=body | {"client_cert_fingerprint": plain})
    assert again.status_code == 409
    other = await http.post("/v1/agents", json=body | {"client_cert_fingerprint": uuid4().hex * 2})
    clash = await http.patch(f"/v1/agents/{other.json()['agent']['id']}", json={"client_cert_fingerprint": plain})
    assert clash.status_code == 409
    renewed = uuid4().hex * 2
    changed = await http.patch(f"/v1/agents/{agent['id']}", json={"client_cert_fingerprint": renewed.upper()})
    assert changed.json()["client_cert_fingerprint"] == renewed
    assert (await http.post("/v1/agents", json=body)).status_code == 201
    # a deleted agent gives its certificate free
    assert (await http.delete(f"/v1/agents/{agent['id']}")).status_code == 204
    assert (await http.post("/v1/agents", json=body | {"client_cert_fingerprint": renewed})).status_code == 201


@pytest.mark.parametrize(
    ("columns", "change", "status"),
    [
        ({}, {"client_cert_fingerprint": "ab" * 32}, 400),
        ({}, {"oidc_issuer": "https://id.example"}, 400),
        ({}, {"client_cert_fingerprint": None, "oidc_issuer": None}, 200),
        ({"auth_method": "mtls", "client_cert_fingerprint": "cd" * 32}, {"client_cert_fingerprint": None}, 400),
        ({"auth_method": "mtls", "client_cert_fingerprint": "ce" * 32}, {"oidc_client_id": "x"}, 400),
        ({"auth_method": "mtls"}, {"name": "new"}, 200),
        (
            {"auth_method": "oidc_client_credentials", "oidc_issuer": "https://a.example", "oidc_client_id": "x"},
            {"oidc_issuer": "https://b.example"},
            200,
        ),
    ],
)
async def test_a_patch_changes_credentials_of_the_agents_own_kind_only(
    tenant: Tenant, columns: dict[str, Any], change: dict[str, Any], status: int
) -> None:
    robot = await tenant.agent(**columns)
    answer = await tenant.as_(tenant.owner).patch(f"/v1/agents/{robot.id}", json=change)
    assert answer.status_code == status, answer.text
