"""Every guardrail stops its transaction on every path to a signature, and says which rule, limit and value."""

from typing import Any

import pytest

from tests.support.world import World, address

ALLOWED = "0x52908400098527886E0F7030069857D2E4169EE7"

CASES: list[tuple[str, dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ("chain", {"tx_allowed_chains": ["sepolia"]}, {}, ("anvil",)),
    (
        "destination",
        {"tx_to_allowlist": [ALLOWED]},
        {"to": "0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
        ("0x8617",),
    ),
    ("maximum", {"tx_max_value_eth": "0.5"}, {"value": "0.500000000000000001"}, ("0.5", "0.500000000000000001")),
    ("daily", {"tx_daily_limit_eth": "0.5"}, {"value": "0.6"}, ("0.5", "0.6")),
    ("gas", {}, {"gas_limit": 1_000_000, "gas_price": str(10**15)}, ("gas",)),
]


@pytest.mark.parametrize(("name", "limits", "change", "words"), CASES, ids=[case[0] for case in CASES])
async def test_denied_on_every_path(
    world: World, name: str, limits: dict[str, Any], change: dict[str, Any], words: tuple[str, ...]
) -> None:
    wallet = await world.wallet()
    agent = await world.agent(**limits)
    body = {"to": ALLOWED, "value": "0.1", "chain": "anvil", "signing_key_path": wallet.path} | change
    for path in ("", "/sign", "/simulate"):
        answer = await agent.post(path, body)
        assert answer.status_code == 403, (path, answer.text)
        assert answer.json()["type"] == "about:blank"
        for word in words:
            assert word.lower() in answer.json()["detail"].lower()
    bundle = await agent.post("/simulate-bundle", {"transactions": [body]})
    assert bundle.status_code == 403
    assert await world.chain.nonce(wallet.address, "pending") == 0


@pytest.mark.parametrize(("name", "limits", "change", "words"), CASES[:4], ids=[case[0] for case in CASES[:4]])
async def test_what_needs_no_key_is_denied_where_no_key_lies(
    world: World, name: str, limits: dict[str, Any], change: dict[str, Any], words: tuple[str, ...]
) -> None:
    agent = await world.agent(**limits)
    body = {"to": ALLOWED, "value": "0.1", "chain": "anvil", "signing_key_path": "keys/nothing/here"}
    for path, sent in (("", body | change), ("/sign", body | change), ("/simulate", body | change)):
        answer = await agent.post(path, sent)
        assert answer.status_code == 403, (path, answer.text)
        assert words[0].lower() in answer.json()["detail"].lower()
    bundle = await agent.post("/simulate-bundle", {"transactions": [body | change]})
    assert bundle.status_code == 403


WEI_FOR_COINS = "500000000000000000"


@pytest.mark.parametrize("limits", [{"tx_max_value_eth": "1"}, {"tx_daily_limit_eth": "1"}, {}])
async def test_a_refusal_of_an_absurd_amount_says_that_it_is_in_coins(world: World, limits: dict[str, Any]) -> None:
    wallet, agent = await world.wallet(), await world.agent(**limits)
    refused = await agent.submit(wallet, address(), WEI_FOR_COINS)
    assert refused.status_code == (403 if limits else 422), refused.text
    assert "in whole native coins" in refused.json()["detail"]
    # one that a person can mean is not lectured
    refused = await agent.submit(wallet, address(), "1000.5")
    assert refused.status_code == (403 if limits else 422), refused.text
    assert "native coins" not in refused.json()["detail"]
    beyond = await agent.submit(wallet, address(), "9" * 70)
    assert (beyond.status_code, "in whole native coins" in beyond.json()["detail"]) == (400, True)


async def test_an_agent_cannot_change_its_own_guardrails(world: World) -> None:
    agent = await world.agent(tx_max_value_eth="0.5")
    answer = await world.http.patch(f"/v1/agents/{agent.id}", json={"tx_max_value_eth": "100"}, headers=agent.headers)
    assert answer.status_code == 403
    shown = await world.http.get(f"/v1/agents/{agent.id}", headers=world.headers)
    assert shown.json()["tx_max_value_eth"] == "0.5"


async def test_a_changed_limit_counts_at_once(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent(tx_max_value_eth="1")
    assert (await agent.submit(wallet, address(), "0.6")).status_code == 201
    changed = await world.http.patch(
        f"/v1/agents/{agent.id}", json={"tx_max_value_eth": "0.5"}, headers=world.headers
    )
    assert changed.status_code == 200, changed.text
    assert (await agent.submit(wallet, address(), "0.6")).status_code == 403


async def test_spent_today_shows_what_was_reserved(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent(tx_daily_limit_eth="10")
    assert (await agent.submit(wallet, address(), "0.25")).status_code == 201
    shown = await world.http.get(f"/v1/agents/{agent.id}", headers=world.headers)
    assert shown.json()["tx_spent_today_eth"] == "0.25"


async def test_an_agent_never_reads_the_key_it_signs_with(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    for token in (agent.headers, world.headers):
        answer = await world.http.get(f"/v1/vaults/{world.vault_id}/secrets/{wallet.path}", headers=token)
        assert answer.status_code == 403, answer.text
        assert wallet.private_key.hex() not in answer.text
