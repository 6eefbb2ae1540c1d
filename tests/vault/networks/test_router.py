"""The chain registry over HTTP and as the engine reads it."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from tests.support.factories import make_user
from tests.support.vault_api import Tenant
from vault.errors import Problem
from vault.networks.service import all_chains, load_chain, resolve_chain, resolve_chains, seed_chains

SEVEN = ["ethereum", "optimism", "polygon", "base", "arbitrum-one", "base-sepolia", "sepolia"]


@pytest.fixture
async def admin(app: FastAPI) -> Tenant:
    made = await Tenant.found(app)
    made.owner = await make_user(made.database, made.owner.org_id, is_platform_admin=True)
    return made


def new_chain(**changes: Any) -> dict[str, Any]:
    # ids far from any real chain, a fresh one for every test
    unique = uuid4().int % 10**9
    return {"name": f"chain-{unique}", "display_name": "Test", "chain_id": 10**12 + unique, **changes}


async def make(admin: Tenant, **changes: Any) -> dict[str, Any]:
    answer = await admin.as_(admin.owner).post("/v1/admin/chains", json=new_chain(**changes))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def resolve(tenant: Tenant, identifier: str | int) -> str:
    async with tenant.database.begin() as connection:
        return (await resolve_chain(connection, identifier)).name


async def test_the_list_is_public_and_has_the_defaults_and_the_local_chain(tenant: Tenant) -> None:
    answer = await tenant.as_(None).get("/v1/chains")
    assert answer.status_code == 200
    chains = {each["name"]: each for each in answer.json()["chains"]}
    assert set(SEVEN) | {"anvil"} <= set(chains)
    assert chains["arbitrum-one"]["chain_id"] == 42161
    assert chains["sepolia"]["is_testnet"] is True
    assert chains["anvil"]["chain_id"] == 31337
    assert "max_gas_cost_eth" not in chains["anvil"]
    UUID(chains["base"]["id"])


@pytest.mark.parametrize(
    ("identifier", "name"),
    [("ethereum", "ethereum"), ("1", "ethereum"), ("mainnet", "ethereum"), ("Ethereum", "ethereum"),
     ("arbitrum", "arbitrum-one"), ("42161", "arbitrum-one"), ("matic", "polygon"), ("31337", "anvil")],
)  # fmt: skip
async def test_every_spelling_means_one_chain(tenant: Tenant, identifier: str, name: str) -> None:
    assert (await tenant.as_(None).get(f"/v1/chains/{identifier}")).json()["name"] == name
    assert await resolve(tenant, identifier) == name
    if identifier.isdecimal():
        assert await resolve(tenant, int(identifier)) == name


@pytest.mark.parametrize("identifier", ["nowhere", "0", "999999999", "9" * 30, "-1", "0x1", "1.0", "１", "eth%20"])
async def test_unknown_chains(tenant: Tenant, identifier: str) -> None:
    assert (await tenant.as_(None).get(f"/v1/chains/{identifier}")).status_code == 404
    with pytest.raises(Problem) as caught:
        await resolve(tenant, identifier)
    assert caught.value.status == 400


async def test_only_the_platform_admin_changes_the_registry(tenant: Tenant) -> None:
    agent, member = await tenant.agent(), await tenant.member()
    for who in (tenant.owner, agent, member):
        http = tenant.as_(who)
        assert (await http.get("/v1/admin/chains")).status_code == 403
        assert (await http.post("/v1/admin/chains", json=new_chain())).status_code == 403
        assert (await http.put(f"/v1/admin/chains/{uuid4()}", json={})).status_code == 403
        assert (await http.delete(f"/v1/admin/chains/{uuid4()}")).status_code == 403
    assert (await tenant.as_(None).get("/v1/admin/chains")).status_code == 401


async def test_create_disable_enable_remove(admin: Tenant) -> None:
    http = admin.as_(admin.owner)
    made = await make(admin, rpc_url="https://u:p@rpc.example/v2/0123456789abcdef0123456789abcdef")
    assert made["native_currency"] == "ETH"
    assert made["rpc_url"] == "https://rpc.example/v2/***"
    assert made["is_enabled"] is True
    url, public = f"/v1/admin/chains/{made['id']}", f"/v1/chains/{made['name']}"
    async with admin.database.begin() as connection:
        chain = await resolve_chain(connection, made["chain_id"])
    assert chain.rpc_url == "https://u:p@rpc.example/v2/0123456789abcdef0123456789abcdef"

    assert (await http.put(url, json={"is_enabled": False})).json()["is_enabled"] is False
    assert (await http.get(public)).status_code == 404
    with pytest.raises(Problem) as caught:
        await resolve(admin, made["name"])
    assert caught.value.status == 400
    assert made["name"] not in [each["name"] for each in (await http.get("/v1/chains")).json()["chains"]]
    listed = (await http.get("/v1/admin/chains", params={"limit": 200})).json()["chains"]
    assert made["name"] in [each["name"] for each in listed]

    await http.put(url, json={"is_enabled": True})
    assert await resolve(admin, made["name"]) == made["name"]

    assert (await http.delete(url)).status_code == 204
    assert (await http.delete(url)).status_code == 404
    assert (await http.put(url, json={})).status_code == 404
    assert (await http.get(public)).status_code == 404
    async with admin.database.begin() as connection:
        # what was signed there is still seen through, but nothing new is
        kept = await load_chain(connection, made["chain_id"])
        assert kept is not None
        assert not kept.is_enabled
        assert made["chain_id"] in [chain.chain_id for chain in await all_chains(connection)]
        assert await resolve_chains(connection, [made["name"], "base"]) == frozenset({8453})
    # the name and id are free again
    again = await http.post("/v1/admin/chains", json=new_chain(name=made["name"], chain_id=made["chain_id"]))
    assert again.status_code == 201
    for action in ("chain.create", "chain.update", "chain.delete"):
        assert await admin.audit(action, made["id"])


async def test_limits_are_shown_when_asked_for(admin: Tenant) -> None:
    http = admin.as_(admin.owner)
    made = await make(admin, max_gas_cost_eth="0.25", confirmations=3, max_tx_gas=2**24)
    assert "confirmations" not in made
    url = f"/v1/admin/chains/{made['id']}?include=limits"
    shown = (await http.put(url, json={"max_gas_cost_eth": "0.000000000000000001"})).json()
    assert (shown["max_gas_cost_eth"], shown["confirmations"]) == ("0.000000000000000001", 3)
    async with admin.database.begin() as connection:
        chain = await resolve_chain(connection, made["name"])
    assert (chain.max_gas_cost_wei, chain.confirmations, chain.max_tx_gas) == (1, 3, 2**24)


@pytest.mark.parametrize(
    "changes",
    [{"name": "Upper"}, {"name": "1"}, {"name": "a b"}, {"name": ""}, {"name": "mainnet"}, {"chain_id": 0},
     {"chain_id": -1}, {"chain_id": 2**63}, {"chain_id": "7"}, {"chain_id": True}, {"display_name": ""},
     {"rpc_url": "ftp://x.example"}, {"rpc_url": "x"}, {"ws_url": "https://x.example"},
     {"explorer_url": "javascript:1"},
     {"max_gas_cost_eth": "-1"}, {"max_gas_cost_eth": "1e3"}, {"max_gas_cost_eth": 1}, {"confirmations": 0},
     {"max_tx_gas": 20_999}, {"max_tx_gas": "many"},
     {"is_enabled": "yes"}, {"unknown": 1}],
)  # fmt: skip
async def test_bad_chains(admin: Tenant, changes: dict[str, Any]) -> None:
    answer = await admin.as_(admin.owner).post("/v1/admin/chains", json=new_chain(**changes))
    assert answer.status_code == 400, answer.text


async def test_names_and_ids_are_unique(admin: Tenant) -> None:
    http, made = admin.as_(admin.owner), await make(admin)
    for clash in ({"name": made["name"]}, {"chain_id": made["chain_id"]}, {"name": "ethereum"}, {"chain_id": 1}):
        assert (await http.post("/v1/admin/chains", json=new_chain(**clash))).status_code == 409


async def test_seeding_again_keeps_what_the_admin_did(admin: Tenant) -> None:
    http = admin.as_(admin.owner)
    chains = {each["name"]: each for each in (await http.get("/v1/chains")).json()["chains"]}
    polygon, optimism = chains["polygon"], chains["optimism"]
    await http.delete(f"/v1/admin/chains/{polygon['id']}")
    await http.put(f"/v1/admin/chains/{optimism['id']}", json={"is_enabled": False})
    try:
        async with admin.database.begin() as connection:
            await seed_chains(connection, with_anvil=True, anvil_rpc_url="http://127.0.0.1:9999")
        names = {each["name"]: each for each in (await http.get("/v1/chains")).json()["chains"]}
        assert "polygon" not in names
        assert "optimism" not in names
        assert names["anvil"]["rpc_url"] == "http://127.0.0.1:9999"
        async with admin.database.begin() as connection:
            await seed_chains(connection, with_anvil=False)
        assert (await http.get("/v1/chains/anvil")).status_code == 404
    finally:
        await admin.rows("UPDATE chains SET deleted_at = NULL WHERE id = :id RETURNING 1", id=polygon["id"])
        await http.put(f"/v1/admin/chains/{optimism['id']}", json={"is_enabled": True})
        async with admin.database.begin() as connection:
            await seed_chains(connection, with_anvil=True, anvil_rpc_url="http://127.0.0.1:8545")
