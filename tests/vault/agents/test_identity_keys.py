"""Agents' identity keys: what is made, where it lies, who may read it, and how it is replaced."""

import asyncio
import base64
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.factories import Person
from tests.support.vault_api import Tenant
from vault.agents.identity_keys import make_keys


async def register(tenant: Tenant, who: Person | None = None, **body: Any) -> dict[str, Any]:
    answer = await tenant.as_(who or tenant.owner).post("/v1/agents", json={"name": "a"} | body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def keys_vault(tenant: Tenant) -> str:
    answer = await tenant.as_(tenant.owner).get("/v1/org/agent-keys-vault")
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"vault_id"}
    return str(answer.json()["vault_id"])


def public_of(ssh_seed: str, ecdh_scalar: str) -> tuple[str, str]:
    """The public halves that belong to the private ones, worked out here anew."""
    seed, scalar = base64.b64decode(ssh_seed, validate=True), base64.b64decode(ecdh_scalar, validate=True)
    assert (len(ssh_seed), len(seed), len(scalar)) == (44, 32, 32)
    ssh = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    key = ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.b64encode(ssh).decode(), base64.b64encode(point).decode()


async def private_halves(tenant: Tenant, who: Any, vault_id: str, agent_id: str) -> list[str]:
    http, found = tenant.as_(who), []
    for kind in ("ssh", "ecdh"):
        answer = await http.get(f"/v1/vaults/{vault_id}/secrets/agents/{agent_id}/{kind}/private_key")
        assert answer.status_code == 200, answer.text
        assert answer.json()["type"] == "private_key"
        found.append(answer.json()["value"])
    return found


async def test_every_new_agent_has_identity_keys_of_its_own(tenant: Tenant) -> None:
    fields: list[dict[str, Any]] = [
        {},
        {"auth_method": "mtls", "client_cert_fingerprint": uuid4().hex * 2},
        {"auth_method": "oidc_client_credentials", "oidc_issuer": "https://id.example", "oidc_client_id": "x"},
    ]
    agents = [await register(tenant, **body) for body in fields]
    vault_id = await keys_vault(tenant)
    seen = set()
    for agent in (each["agent"] for each in agents):
        halves = await private_halves(tenant, tenant.owner, vault_id, agent["id"])
        assert public_of(*halves) == (agent["ssh_public_key"], agent["ecdh_public_key"])
        assert (len(agent["ssh_public_key"]), len(agent["ecdh_public_key"])) == (44, 88)
        seen |= {*halves}
        rows = await tenant.rows(
            "SELECT sv.key_id, sv.sealed FROM secret_versions sv JOIN secrets s ON s.id = sv.secret_id"
            " WHERE s.vault_id = :vault_id AND s.path LIKE :path",
            vault_id=vault_id,
            path=f"agents/{agent['id']}/%",
        )
        assert [row["key_id"] for row in rows] == [None, None]  # sealed, not imported for signing transactions
        assert not any(half.encode() in row["sealed"] for row in rows for half in halves)
    assert len(seen) == 2 * len(fields)
    me = (await tenant.as_(None).get("/v1/agents/me", headers=bearer(agents[0]["api_key"]))).json()
    assert me["ssh_public_key"] == agents[0]["agent"]["ssh_public_key"]
    assert me["ecdh_public_key"] == agents[0]["agent"]["ecdh_public_key"]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_two_first_agents_at_once_make_one_vault(tenant: Tenant) -> None:
    http = tenant.as_(tenant.owner)
    assert (await http.get("/v1/org/agent-keys-vault")).status_code == 404
    await asyncio.gather(*(register(tenant, name=f"a{n}") for n in range(6)))
    rows = await tenant.rows("SELECT * FROM vaults WHERE org_id = :org", org=tenant.owner.org_id)
    assert [(row["name"], row["is_system"]) for row in rows] == [("__agent-keys", True)]
    assert str(rows[0]["id"]) == await keys_vault(tenant)
    assert len(await tenant.audit("vault.create", rows[0]["id"])) == 1
    paths = await tenant.rows("SELECT path FROM secrets WHERE vault_id = :id", id=rows[0]["id"])
    assert len(paths) == 12
    listed = (await http.get("/v1/vaults")).json()["vaults"]
    assert [each["name"] for each in listed] == ["__agent-keys"]
    assert listed[0]["created_by"]
    assert listed[0]["created_by_type"]


async def test_only_policies_open_the_keys(tenant: Tenant) -> None:
    admin, member = await tenant.member("admin"), await tenant.member("member")
    made = await register(tenant, admin)
    agent_id, key = made["agent"]["id"], made["api_key"]
    vault_id = await keys_vault(tenant)
    url = f"/v1/vaults/{vault_id}/secrets/agents/{agent_id}/ssh/private_key"
    # whoever registered the agent may read its keys, and change nothing; nobody else may
    assert (await tenant.as_(admin).get(url)).status_code == 200
    assert (await tenant.as_(admin).put(url, json={"value": "x"})).status_code == 403
    for person in (tenant.owner, member):
        assert (await tenant.as_(person).get(url)).status_code == 403
    assert (await tenant.as_(None).get(url, headers=bearer(key))).status_code == 403
    # the grant is an ordinary one: seen, and taken back
    policies = (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/policies")).json()["policies"]
    assert [(each["secret_path_pattern"], each["permissions"]) for each in policies] == [
        (f"agents/{agent_id}/**", ["read"])
    ]
    gone = await tenant.as_(tenant.owner).delete(f"/v1/vaults/{vault_id}/policies/{policies[0]['id']}")
    assert gone.status_code == 204
    assert (await tenant.as_(admin).get(url)).status_code == 403
    # an agent reads its own keys by a policy, another's never, and none with the Intents API
    body = {
        "secret_path_pattern": f"agents/{agent_id}/**",
        "principal_type": "agent",
        "principal_id": agent_id,
        "permissions": ["read"],
    }
    assert (await tenant.as_(tenant.owner).post(f"/v1/vaults/{vault_id}/policies", json=body)).status_code == 201
    mine = await tenant.as_(None).get(url, headers=bearer(key))
    assert mine.status_code == 200
    other = (await register(tenant))["agent"]["id"]
    assert (await tenant.as_(None).get(url.replace(agent_id, other), headers=bearer(key))).status_code == 403
    await tenant.as_(tenant.owner).patch(f"/v1/agents/{agent_id}", json={"intents_api_enabled": True})
    assert (await tenant.as_(None).get(url, headers=bearer(key))).status_code == 403


async def test_new_identity_keys_are_new_versions(tenant: Tenant) -> None:
    made = await register(tenant)
    agent, url = made["agent"], f"/v1/agents/{made['agent']['id']}/rotate-identity-keys"
    vault_id = await keys_vault(tenant)
    before = await private_halves(tenant, tenant.owner, vault_id, agent["id"])
    answer = await tenant.as_(await tenant.member("admin")).post(url)
    assert answer.status_code == 200
    changed = answer.json()
    assert changed | {name: agent[name] for name in ("ssh_public_key", "ecdh_public_key")} == agent
    after = await private_halves(tenant, tenant.owner, vault_id, agent["id"])
    assert public_of(*after) == (changed["ssh_public_key"], changed["ecdh_public_key"])
    assert not set(before) & set(after)
    row = (await tenant.audit("agent.rotate_identity_keys", agent["id"]))[0]
    assert row["details"] == {name: changed[name] for name in ("ssh_public_key", "ecdh_public_key")}
    writes = await tenant.rows(
        "SELECT * FROM audit_events WHERE org_id = :org AND action = 'secret.write'", org=tenant.owner.org_id
    )
    assert sorted(each["details"]["version"] for each in writes) == [1, 1, 2, 2]
    assert not any(half in str(writes) + str(row) for half in before + after)
    # neither agents nor members, and none of another organisation
    assert (await tenant.as_(None).post(url, headers=bearer(made["api_key"]))).status_code == 403
    assert (await tenant.as_(await tenant.member()).post(url)).status_code == 403
    stranger = await Tenant.found(tenant.app)
    assert (await stranger.as_(stranger.owner).post(url)).status_code == 404
    await stranger.close()


async def test_an_agent_from_before_gets_its_keys_by_rotation(tenant: Tenant) -> None:
    robot = await tenant.agent()
    answer = await tenant.as_(tenant.owner).post(f"/v1/agents/{robot.id}/rotate-identity-keys")
    assert answer.status_code == 200
    assert len(answer.json()["ssh_public_key"]) == 44
    assert await keys_vault(tenant)


async def test_the_vault_is_for_people_of_the_organisation_and_stays(tenant: Tenant) -> None:
    robot = await tenant.agent()
    http = tenant.as_(tenant.owner)
    # nobody takes the name first and with it a creator's access
    for who in (tenant.owner, robot):
        assert (await tenant.as_(who).post("/v1/vaults", json={"name": " __agent-keys "})).status_code == 400
    await register(tenant)
    vault_id = await keys_vault(tenant)
    assert (await tenant.as_(await tenant.member()).get("/v1/org/agent-keys-vault")).json() == {"vault_id": vault_id}
    assert (await tenant.as_(robot).get("/v1/org/agent-keys-vault")).status_code == 403
    assert (await tenant.as_(None).get("/v1/org/agent-keys-vault")).status_code == 401
    refused = await http.delete(f"/v1/vaults/{vault_id}")
    assert refused.status_code == 403
    stranger = await Tenant.found(tenant.app)
    assert (await stranger.as_(stranger.owner).get("/v1/org/agent-keys-vault")).status_code == 404
    assert (await stranger.as_(stranger.owner).delete(f"/v1/vaults/{vault_id}")).status_code == 404
    await stranger.close()
    assert await keys_vault(tenant) == vault_id


async def test_without_its_keys_there_is_no_agent(tenant: Tenant) -> None:
    # a vault of that name from before it was reserved
    vault_id = await tenant.vault(name="mine")
    await tenant.rows("UPDATE vaults SET name = '__agent-keys' WHERE id = :id RETURNING id", id=vault_id)
    answer = await tenant.as_(tenant.owner).post("/v1/agents", json={"name": "a"})
    assert answer.status_code == 409
    assert (await tenant.as_(tenant.owner).get("/v1/agents")).json() == {"agents": []}
    assert (await tenant.as_(tenant.owner).delete(f"/v1/vaults/{vault_id}")).status_code == 204
    assert await register(tenant)


def test_private_halves_do_not_show() -> None:
    made = make_keys()
    assert made.ssh_private not in repr(made)
    assert made.ecdh_private not in repr(made)
