"""Rules on addresses over HTTP: they count at once for every credential, and nobody shuts himself out."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.vault_api import Tenant

URL = "/v1/security/ip-rules"
HERE, THERE = "203.0.113.9", "198.51.100.4"
# one of tests.vault.conftest.OPTIONS' trusted proxies
PROXY = "10.0.0.7"


async def add(http: httpx.AsyncClient, rule_type: str, cidr: str, **more: Any) -> httpx.Response:
    return await http.post(URL, json={"rule_type": rule_type, "cidr": cidr, **more})


async def test_a_denied_address_is_refused_with_every_credential(tenant: Tenant) -> None:
    http, agent = tenant.as_(tenant.owner), await tenant.agent()
    tokens = {}
    for who, path in ((tenant.owner, "api-key-token"), (agent, "agent-token")):
        answer = await http.post(f"/v1/auth/{path}", json={"api_key": who.key})
        tokens[who.caller.kind] = answer.json()["access_token"]
    made = await add(http, "block", THERE, description="the café")
    assert made.status_code == 201
    assert (made.json()["rule_type"], made.json()["label"]) == ("deny", "the café")
    assert (made.json()["cidr"], made.json()["applies_to"]) == (f"{THERE}/32", "all")

    for credential in (tenant.owner.key, agent.key, tokens["user"], tokens["agent"]):
        for peer, status in ((THERE, 403), (HERE, 200)):
            caller = tenant.as_(None, peer)
            caller.headers["authorization"] = f"Bearer {credential}"
            answer = await caller.get("/v1/vaults")
            assert answer.status_code == status
            assert status == 200 or "IP blocked" in answer.json()["detail"]
    caller = tenant.as_(None, THERE)
    for who, path in ((tenant.owner, "api-key-token"), (agent, "agent-token"), (agent, "api-key-token")):
        assert (await caller.post(f"/v1/auth/{path}", json={"api_key": who.key})).status_code == 403
    for public in ("/v1/health/hsm", "/v1/auth/jwt-public-key"):
        assert (await caller.get(public)).status_code == 200
    caller.headers["authorization"] = "Bearer ocv_" + "x" * 43
    assert (await caller.get("/v1/vaults")).status_code == 401

    assert (await http.delete(f"{URL}/{made.json()['id']}")).status_code == 204
    assert (await tenant.as_(agent, THERE).get("/v1/vaults")).status_code == 200
    for action in ("ip_rule.create", "ip_rule.delete"):
        (row,) = await tenant.audit(action, made.json()["id"])
        assert row["details"]["cidr"] == f"{THERE}/32"


async def test_an_allowlist_for_agents_only(tenant: Tenant) -> None:
    agent = await tenant.agent()
    assert (await add(tenant.as_(tenant.owner), "allow", "198.51.100.0/24", applies_to="agents")).status_code == 201
    assert (await tenant.as_(agent, THERE).get("/v1/vaults")).status_code == 200
    assert (await tenant.as_(agent, HERE).get("/v1/vaults")).status_code == 403
    assert (await tenant.as_(tenant.owner, HERE).get("/v1/vaults")).status_code == 200


@pytest.mark.parametrize("hop", [f"{THERE}:51234", f"[::ffff:{THERE}]:443", "unknown", f"{THERE}:x", f"{THERE}, "])
async def test_no_way_of_writing_it_hides_a_denied_address_behind_the_proxy(tenant: Tenant, hop: str) -> None:
    agent = await tenant.agent()
    assert (await add(tenant.as_(tenant.owner), "deny", THERE)).status_code == 201
    through = tenant.as_(agent, PROXY)
    assert (await through.get("/v1/vaults", headers={"X-Forwarded-For": hop})).status_code == 403
    assert (await through.get("/v1/vaults", headers={"X-Forwarded-For": f"{HERE}:51234"})).status_code == 200
    # of several lines the proxy's own is the last
    lines = [("X-Forwarded-For", HERE), ("X-Forwarded-For", hop)]
    assert (await through.get("/v1/vaults", headers=lines)).status_code == 403


@pytest.mark.parametrize("hop", ["unknown", f"{THERE}:51234", "[2001:db8::7]:443", ""])
async def test_an_allowlist_of_the_proxys_network_lets_no_stranger_in(tenant: Tenant, hop: str) -> None:
    agent = await tenant.agent()
    for cidr in (HERE, "10.0.0.0/8"):
        assert (await add(tenant.as_(tenant.owner), "allow", cidr)).status_code == 201
    through = tenant.as_(agent, PROXY)
    assert (await through.get("/v1/vaults", headers={"X-Forwarded-For": hop})).status_code == 403
    assert (await through.get("/v1/vaults", headers={"X-Forwarded-For": "10.1.2.3:80"})).status_code == 200
    assert (await through.get("/v1/vaults")).status_code == 200


async def test_what_would_shut_its_author_out_is_refused(tenant: Tenant) -> None:
    http = tenant.as_(tenant.owner)
    for rule_type, cidr in (
        ("deny", HERE),
        ("deny", "203.0.113.0/24"),
        ("allow", THERE),
        ("deny", "::ffff:203.0.113.9"),
    ):
        answer = await add(http, rule_type, cidr)
        assert answer.status_code == 409
        assert "shut you out" in answer.json()["detail"]
    assert (await http.get(URL)).json() == {"rules": []}
    first = (await add(http, "allow", HERE)).json()["id"]
    second = (await add(http, "allow", THERE)).json()["id"]
    assert (await http.delete(f"{URL}/{first}")).status_code == 409
    assert (await http.delete(f"{URL}/{second}")).status_code == 204
    assert (await http.delete(f"{URL}/{first}")).status_code == 204


async def test_two_who_shut_each_other_out_at_once(tenant: Tenant) -> None:
    """One is first; the other's rule then comes from an address that is blocked already."""
    for _ in range(5):
        peers = {HERE: tenant.as_(tenant.owner, HERE), THERE: tenant.as_(tenant.owner, THERE)}
        answers = await asyncio.gather(add(peers[HERE], "deny", THERE), add(peers[THERE], "deny", HERE))
        statuses = [answer.status_code for answer in answers]
        assert sorted(statuses)[0] == 201
        assert sorted(statuses)[1] in (403, 409)
        inside, made = (HERE, answers[0]) if statuses[0] == 201 else (THERE, answers[1])
        assert (await peers[inside].delete(f"{URL}/{made.json()['id']}")).status_code == 204


@pytest.mark.parametrize(
    "body",
    [{}, {"rule_type": "allow"}, {"cidr": HERE}, {"rule_type": "drop", "cidr": HERE},
     {"rule_type": "deny", "cidr": "203.0.113.9/24"}, {"rule_type": "deny", "cidr": "x" * 65},
     {"rule_type": "deny", "cidr": THERE, "applies_to": "some"},
     {"rule_type": "deny", "cidr": THERE, "label": "x" * 201},
     {"rule_type": "deny", "cidr": THERE, "more": 1}, {"rule_type": "deny", "cidr": 1}],
)  # fmt: skip
async def test_bad_rules(tenant: Tenant, body: dict[str, Any]) -> None:
    assert (await tenant.as_(tenant.owner).post(URL, json=body)).status_code == 400


async def test_who_may(tenant: Tenant) -> None:
    other = await Tenant.found(tenant.app)
    rule = (await add(tenant.as_(tenant.owner), "deny", THERE)).json()["id"]
    assert (await other.as_(other.owner).delete(f"{URL}/{rule}")).status_code == 404
    assert (await other.as_(other.owner).get(URL)).json() == {"rules": []}
    for who in (await tenant.member(), await tenant.agent()):
        http = tenant.as_(who)
        assert (await http.get(URL)).status_code == 403
        assert (await add(http, "deny", "192.0.2.1")).status_code == 403
        assert (await http.delete(f"{URL}/{rule}")).status_code == 403
    await other.close()


async def test_the_number_of_rules_is_bounded(tenant: Tenant) -> None:
    await tenant.change(
        "INSERT INTO ip_rules (id, org_id, rule_type, cidr, applies_to, created_by)"
        " SELECT gen_random_uuid(), :org, 'deny', '192.0.2.1', 'all', :me FROM generate_series(1, 200)",
        org=tenant.owner.org_id,
        me=tenant.owner.id,
    )
    assert (await add(tenant.as_(tenant.owner), "deny", "192.0.2.2")).status_code == 409
    assert len((await tenant.as_(tenant.owner).get(URL)).json()["rules"]) == 100
