"""A generated client in which an unknown field is an error reads every plain answer of ours.

The fields are those of the contract's published models; what Talon adds is told only to who asks for it.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from tests.support.instance import Running
from tests.support.people import bearer, sign_up
from tests.support.world import World, address


def _fields(text: str) -> frozenset[str]:
    return frozenset(text.split())


TOKEN = _fields("access_token token_type expires_in refresh_token")
VAULT = _fields(
    "id name description created_by created_by_type created_at cmek_enabled cmek_fingerprint"
    " mpc_custody mpc_threshold mpc_providers"
)
SECRET = _fields("id path type version metadata created_at expires_at is_disabled")
STORED = _fields("id path type version metadata created_at expires_at client_share")
READ = _fields("id path type value version metadata created_by created_at expires_at cmek_encrypted")
POLICY = _fields(
    "id vault_id secret_path_pattern principal_type principal_id permissions conditions expires_at"
    " created_by created_by_type created_at"
)
# without tx_spent_today_eth: the models made before it know only this
AGENT = _fields(
    "id name description auth_method scopes is_active intents_api_enabled tx_to_allowlist tx_max_value_eth"
    " tx_daily_limit_eth tx_allowed_chains token_ttl_seconds vault_ids client_cert_fingerprint oidc_issuer"
    " oidc_client_id ssh_public_key ecdh_public_key shroud_enabled shroud_config created_at expires_at last_active_at"
    " smart_accounts"
)
ITSELF = _fields(
    "id name description org_id scopes is_active intents_api_enabled created_by created_at expires_at last_active_at"
    " ssh_public_key ecdh_public_key shroud_enabled shroud_config"
)
KEY = _fields("id name key_prefix scopes is_active created_at expires_at last_used_at")
TRANSACTION = _fields(
    "id agent_id chain chain_id to value_wei status signed_tx tx_hash error_message created_at signed_at"
    " simulation_id simulation_status tenderly_dashboard_url max_fee_per_gas max_priority_fee_per_gas"
)
SIGNED = _fields(
    "signed_tx tx_hash from to chain chain_id nonce value_wei status simulation_id simulation_status max_fee_per_gas"
    " max_priority_fee_per_gas"
)
SIMULATION = _fields(
    "simulation_id status gas_used gas_estimate_usd balance_changes error error_code error_human_readable"
    " revert_reason simulated_at tenderly_dashboard_url"
)
CHANGE = _fields("address token token_symbol before after change")


def known(answer: Mapping[str, Any], fields: frozenset[str]) -> None:
    """Fails for a field the client does not know, and for a null, which its required fields do not take."""
    assert answer.keys() <= fields, answer.keys() - fields
    assert all(value is not None for name, value in answer.items() if name != "expires_at"), answer


@pytest.fixture(scope="module")
async def seen(instance: Running, world: World, database: psycopg.AsyncConnection) -> dict[str, Any]:
    """The plain answers of a life with an agent, by what they are."""
    http, headers = world.http, world.headers
    wallet, agent = await world.wallet(), await world.agent(tx_max_value_eth="5", description="strict")
    vault, secret = f"/v1/vaults/{world.vault_id}", f"/v1/vaults/{world.vault_id}/secrets/strict/a"

    async def get(path: str) -> Any:
        answer = await http.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    person = await sign_up(world, database)
    made = await world.post("/v1/agents", {"name": "strict", "tx_daily_limit_eth": "1"})
    key = await http.post("/v1/auth/api-keys", json={"name": "k"}, headers=bearer(await person.log_in()))
    stored = await http.put(secret, json={"value": "v"}, headers=headers)
    to_sign = {"to": address(), "value": "0.001"}
    shown: dict[str, Any] = {
        "stored": stored.json(),
        "secrets": (await get(f"{vault}/secrets"))["secrets"],
        "read": await get(secret),
        "vaults": [await get(vault), *(await get("/v1/vaults"))["vaults"]],
        "policies": (await get(f"{vault}/policies"))["policies"],
        "submitted": (await agent.submit(wallet, address(), "0.001")).json(),
        "signed": (await agent.sign(wallet, **to_sign)).json(),
        "simulated": (await agent.simulate(wallet, **to_sign)).json(),
        "created": made,
        "patched": (
            await http.patch(f"/v1/agents/{made['agent']['id']}", json={"name": "s"}, headers=headers)
        ).json(),
        "agents": (await get("/v1/agents"))["agents"],
        "idle": await get(f"/v1/agents/{made['agent']['id']}"),
        "spender": await get(f"/v1/agents/{agent.id}"),
        "itself": (await http.get("/v1/agents/me", headers=agent.headers)).json(),
        "key": key.json(),
        "tokens": [
            (await http.post("/v1/auth/api-key-token", json={"api_key": each})).json()
            for each in (key.json()["api_key"], agent.key)
        ],
    }
    shown["transactions"] = (await http.get(agent.url, headers=agent.headers)).json()["transactions"]
    return shown


async def test_answers_about_agents(seen: dict[str, Any]) -> None:
    assert seen["created"].keys() <= {"agent", "api_key"}
    for agent in (seen["created"]["agent"], seen["patched"], seen["idle"], *seen["agents"]):
        known(agent, AGENT)
    known(seen["itself"], ITSELF)
    # the one answer that says more, and only of an agent that has spent
    known(seen["spender"], AGENT | {"tx_spent_today_eth"})
    assert seen["spender"]["tx_spent_today_eth"] == "0.002"


async def test_answers_about_secrets_and_vaults(seen: dict[str, Any]) -> None:
    known(seen["stored"], STORED)
    known(seen["read"], READ)
    for kind, fields in (("secrets", SECRET), ("vaults", VAULT), ("policies", POLICY)):
        assert seen[kind]
        for each in seen[kind]:
            known(each, fields)


async def test_answers_about_keys_and_tokens(seen: dict[str, Any]) -> None:
    assert seen["key"].keys() == {"key", "api_key"}
    known(seen["key"]["key"], KEY)
    for reply in seen["tokens"]:
        known(reply, TOKEN)


async def test_answers_about_transactions(seen: dict[str, Any]) -> None:
    for each in (seen["submitted"], *seen["transactions"]):
        known(each, TRANSACTION)
    known(seen["signed"], SIGNED)
    known(seen["simulated"], SIMULATION)
    assert seen["simulated"]["balance_changes"]
    for change in seen["simulated"]["balance_changes"]:
        known(change, CHANGE)
