"""Rows about vaults, secrets, policies, agents and transactions."""

import re
from uuid import UUID, uuid4

from tests.flows.clients.rows import TIME, Client, row
from tests.support.people import bearer
from tests.support.published import assert_declared
from tests.support.world import address

REVERTS = "0x60006000fd"  # PUSH1 0 PUSH1 0 REVERT


@row("Raw, %2F, per-segment paths")
async def _paths(it: Client) -> None:
    for number, path in enumerate(("client/a/b", "client%2Fa%2Fb", "client%2fa/b", "cl%69ent/a/b"), start=1):
        put = await it.ask("PUT", f"{it.vault}/secrets/{path}", 201, json={"value": f"value {number}"})
        assert put.json()["path"] == "client/a/b"
        assert (await it.ask("GET", f"{it.vault}/secrets/{path}", 200)).json()["value"] == f"value {number}"
        await it.ask("GET", f"{it.vault}/secret-versions/{path}", 200)
        await it.ask("GET", f"{it.vault}/secret-version/{path}/1", 200)
    listed = (await it.ask("GET", f"{it.vault}/secrets", 200, params={"prefix": "client/"})).json()["secrets"]
    assert [each["path"] for each in listed] == ["client/a/b"]


@row("{agent,api_key} wrapper")
async def _wrapper(it: Client) -> None:
    made = (await it.ask("POST", "/v1/agents", 201, json={"name": "wrapped"})).json()
    assert set(made) == {"agent", "api_key"}
    assert UUID(made["agent"]["id"])
    assert re.fullmatch(r"ocv_[A-Za-z0-9_-]{43}", made["api_key"])
    rotated = (await it.ask("POST", f"/v1/agents/{made['agent']['id']}/rotate-key", 200)).json()
    assert set(rotated) == {"api_key"}


@row("Duplicate vault 409, then list by name")
async def _bootstrap(it: Client) -> None:
    name = f"bootstrap {uuid4()}"
    made = (await it.ask("POST", "/v1/vaults", 201, json={"name": name, "description": ""})).json()
    await it.ask("POST", "/v1/vaults", 409, json={"name": name, "description": ""})
    await it.ask("POST", "/v1/vaults", 409, json={"name": f"  {name} "})
    found: list[str] = []
    for offset in range(0, 2000, 200):
        page = (await it.ask("GET", "/v1/vaults", 200, params={"limit": 200, "offset": offset})).json()["vaults"]
        found += [each["id"] for each in page if each["name"] == name]
        if len(page) < 200:
            break
    assert found == [made["id"]]


@row("created_by_type on vault")
async def _created_by_type(it: Client) -> None:
    own = await it.world.http.post("/v1/vaults", json={"name": f"own {uuid4()}"}, headers=it.agent.headers)
    for vault, kind in ((own.json(), "agent"), ((await it.ask("GET", it.vault, 200)).json(), "user")):
        assert vault["created_by_type"] == kind
        assert UUID(vault["created_by"])
        assert TIME.fullmatch(vault["created_at"])
    for vault in (await it.ask("GET", "/v1/vaults", 200)).json()["vaults"]:
        assert {"id", "name", "created_by", "created_by_type", "created_at"} <= vault.keys()


@row("permissions array on policy")
async def _permissions(it: Client) -> None:
    policy = {"secret_path_pattern": "**", "principal_type": "agent", "principal_id": it.agent.id}
    made = (await it.ask("POST", f"{it.vault}/policies", 201, json=policy | {"permissions": ["read"]})).json()
    assert made["permissions"] == ["read"]
    assert UUID(made["id"])
    await it.ask("DELETE", f"{it.vault}/policies/{made['id']}", 204)


@row("balance_changes array, numeric gas")
async def _simulation(it: Client) -> None:
    reply = (await it.agent.simulate(it.wallet, address(), "0.01")).json()
    assert isinstance(reply["balance_changes"], list)
    assert type(reply["gas_used"]) is int
    # and from an account that cannot pay, where nothing changes
    poor = await it.world.put_key()
    failed = await it.agent.simulate(poor, address(), "5")
    assert isinstance(failed.json()["balance_changes"], list), failed.text


@row("Go required agent fields")
async def _agent_fields(it: Client) -> None:
    required = ("id", "name", "auth_method", "is_active", "intents_api_enabled", "shroud_enabled", "created_at")
    one = (await it.ask("GET", f"/v1/agents/{it.agent.id}", 200)).json()
    for shown in (one, *(await it.ask("GET", "/v1/agents", 200)).json()["agents"]):
        assert all(name in shown for name in required), shown
        assert all(type(shown[name]) is bool for name in ("is_active", "intents_api_enabled", "shroud_enabled"))


@row("5xx retried twice")
async def _retries(it: Client) -> None:
    to = address()
    answers = [await it.agent.submit(it.wallet, to, "0.002", f"retry {to}") for _ in range(3)]
    assert [each.status_code for each in answers] == [201, 200, 200]
    assert len({each.json()["id"] for each in answers}) == 1
    await it.agent.mined(answers[0].json()["id"])
    assert await it.world.chain.balance(to) == 2 * 10**15


@row("DELETE with JSON body")
async def _delete_body(it: Client) -> None:
    session = bearer(await it.person.log_in())
    refused = await it.ask("DELETE", "/v1/auth/me", headers=session, json={"confirmation": "yes, please"})
    assert refused.status_code == 400, refused.text
    assert (await it.world.http.get("/v1/auth/me", headers=session)).status_code == 200


@row("Agent GET of itself")
async def _itself(it: Client) -> None:
    limits = {"tx_max_value_eth": "1.5", "tx_daily_limit_eth": "3", "tx_allowed_chains": ["anvil"]}
    agent = await it.world.agent()
    await it.ask("PATCH", f"/v1/agents/{agent.id}", 200, json=limits)
    me = await it.world.http.get("/v1/agents/me", headers=agent.headers)
    own = await it.world.http.get(f"/v1/agents/{agent.id}", headers=agent.headers)
    assert me.status_code == own.status_code == 200
    assert me.json()["id"] == own.json()["id"] == agent.id
    # the guardrails are where the contract's document has them: at its own id
    assert {name: own.json().get(name) for name in limits} == limits
    assert (await it.world.http.get(f"/v1/agents/{it.agent.id}", headers=agent.headers)).status_code in (403, 404)


@row("the SDKs' default secret type is generic")
async def _generic(it: Client) -> None:
    for path, body in (("client/none", {}), ("client/generic", {"type": "generic"})):
        put = await it.ask("PUT", f"{it.vault}/secrets/{path}", 201, json={"value": "v"} | body)
        assert put.json()["type"] == "generic"


@row("both forms of the version-disable URL")
async def _disable(it: Client) -> None:
    path = "client/deep/er"
    for _ in range(3):
        await it.ask("PUT", f"{it.vault}/secrets/{path}", 201, json={"value": "v"})
    await it.ask("POST", f"{it.vault}/secret-version/{path}/3/disable", 204)
    await it.ask("POST", f"{it.vault}/secret-version-disable/client%2Fdeep%2Fer/2", 204)
    for version, status in ((3, 410), (2, 410), (1, 200)):
        await it.ask("GET", f"{it.vault}/secret-version/{path}/{version}", status)
    assert (await it.ask("GET", f"{it.vault}/secrets/{path}", 200)).json()["version"] == 1


@row("a reverted simulate_first has detail and the transaction's fields")
async def _reverted(it: Client) -> None:
    contract = address()
    await it.world.chain.rpc("anvil_setCode", contract, REVERTS)
    answer = await it.agent.submit(it.wallet, contract, "0", simulate_first=True)
    assert answer.status_code == 422, answer.text
    shown = assert_declared(answer)
    assert isinstance(shown["detail"], str)
    assert {"id", "agent_id", "chain", "to", "status"} <= shown.keys()
    refused = await it.agent.sign(it.wallet, contract, "0", simulate_first=True)
    assert (refused.status_code, assert_declared(refused)["simulation_status"]) == (422, "reverted"), refused.text
