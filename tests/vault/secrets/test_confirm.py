"""A signing key that holds coin gets out of reach only when somebody said so: who is asked, when, and for what."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from eth_account import Account

from tests.support.factories import make_user
from tests.support.faulty_rpc import Answer, Delay, FaultyRpc, Garbage, Refuse, Status
from tests.support.published import assert_declared
from tests.support.vault_api import Tenant
from vault.networks import holdings
from vault.secrets.confirm import agrees

PATH = "keys/base-signer"
ONE, ANOTHER = bytes.fromhex("11" * 20), bytes.fromhex("22" * 20)


@pytest.fixture
async def node(tenant: Tenant) -> AsyncIterator[FaultyRpc]:
    """The endpoint of an enabled chain that is no testnet; every address holds a wei until told otherwise."""
    name, chain_id = f"real-{uuid4().hex[:12]}", 5_000_000 + uuid4().int % 10**9
    async with FaultyRpc() as rpc:
        rpc.faults["eth_chainId"] = Answer(hex(chain_id))
        rpc.faults["eth_getBalance"] = Answer("0x1")
        await tenant.change(
            "INSERT INTO chains (id, name, display_name, chain_id, native_currency, is_testnet, is_enabled, rpc_url,"
            " max_gas_cost_wei, confirmations)"
            " VALUES (gen_random_uuid(), :name, 'Real', :chain_id, 'ETH', false, true, :url, 1, 1)",
            name=name,
            chain_id=chain_id,
            url=rpc.url,
        )
        yield rpc
        await tenant.change("UPDATE chains SET deleted_at = now() WHERE name = :name", name=name)


async def generate(tenant: Tenant, vault_id: str, path: str = PATH, **body: Any) -> str:
    url = f"/v1/vaults/{vault_id}/secret-generate/{path}"
    answer = await tenant.as_(tenant.owner).post(url, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["metadata"]["address"])


WAYS = ["delete", "disable", "put", "vault", "account", "account by the administrator"]


async def go(tenant: Tenant, way: str, vault_id: str, confirm: str | None = None) -> httpx.Response:
    http, params = tenant.as_(tenant.owner), {} if confirm is None else {"confirm": confirm}
    vault = f"/v1/vaults/{vault_id}"
    if way == "delete":
        return await http.delete(f"{vault}/secrets/{PATH}", params=params)
    if way == "disable":
        return await http.post(f"{vault}/secret-version/{PATH}/1/disable", params=params)
    if way == "put":
        body = {"type": "private_key", "value": "12" * 32}
        return await http.put(f"{vault}/secrets/{PATH}", json=body, params=params)
    if way == "vault":
        return await http.delete(vault, params=params)
    if way == "account":
        body = {"confirmation": "DELETE MY ACCOUNT"}
        return await http.request("DELETE", "/v1/auth/me", json=body, params=params)
    boss = await make_user(tenant.database, is_platform_admin=True)
    return await tenant.as_(boss).delete(f"/v1/admin/users/{tenant.owner.id}", params=params)


async def still_signs(tenant: Tenant, vault_id: str, address: str) -> bool:
    rows = await tenant.rows(
        "SELECT v.address FROM vaults JOIN secrets s ON s.vault_id = vaults.id JOIN secret_versions v"
        " ON v.secret_id = s.id WHERE vaults.id = :id AND vaults.deleted_at IS NULL AND s.deleted_at IS NULL"
        " AND v.deleted_at IS NULL AND v.disabled_at IS NULL ORDER BY v.version DESC LIMIT 1",
        id=vault_id,
    )
    return [f"0x{bytes(row['address']).hex()}" for row in rows] == [address.lower()]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spelling", [str, str.lower])
async def test_a_human_is_asked_until_the_request_says_it(
    tenant: Tenant, node: FaultyRpc, way: str, spelling: Any
) -> None:
    vault_id = await tenant.vault()
    address = await generate(tenant, vault_id)
    by_number = way in ("vault", "account", "account by the administrator")
    word = "1" if by_number else spelling(address)
    wrong = [None, "0", "2", "yes", "-1", "٣", "0x" + "00" * 20, address if by_number else "1"]
    for confirm in wrong:
        answer = await go(tenant, way, vault_id, confirm)
        assert answer.status_code == 409, (confirm, answer.text)
        told = assert_declared(answer)
        assert (told["type"], told["addresses"], told["address_count"]) == ("confirmation_required", [address], 1)
        # what it has instead of the word is said where there is one
        said = f"You confirmed {confirm!a}; expected {'1' if by_number else address}."
        assert (said in told["detail"]) == ("You confirmed" in told["detail"]) == (confirm is not None)
        assert f"confirm={'1' if by_number else address}" in told["detail"]
        assert "Tokens were not looked for" in told["detail"]
        assert node.url not in answer.text
        assert await still_signs(tenant, vault_id, address)
    before = node.count("eth_getBalance")
    answer = await go(tenant, way, vault_id, word)
    assert answer.status_code in (201, 204), answer.text
    # what somebody takes upon himself needs no chain
    assert node.count("eth_getBalance") == before
    assert not await still_signs(tenant, vault_id, address)


@pytest.mark.parametrize("way", WAYS)
async def test_an_empty_key_is_let_go_without_a_question(tenant: Tenant, node: FaultyRpc, way: str) -> None:
    node.faults["eth_getBalance"] = Answer("0x0")
    vault_id = await tenant.vault()
    await generate(tenant, vault_id)
    answer = await go(tenant, way, vault_id)
    assert answer.status_code in (201, 204), answer.text
    assert node.count("eth_getBalance") == 1


@pytest.mark.parametrize(
    "fault",
    [
        Refuse(-32601, "no such method"),
        Status(502),
        Garbage(),
        Answer(None),
        Answer("0x"),
        Answer("12"),
        Answer(-1),
        Delay(seconds=20),
    ],
    ids=lambda fault: f"{type(fault).__name__} {getattr(fault, 'result', '')}",
)
async def test_a_balance_that_cannot_be_read_is_no_empty_one(tenant: Tenant, node: FaultyRpc, fault: Any) -> None:
    node.faults["eth_getBalance"] = fault
    vault_id = await tenant.vault()
    address = await generate(tenant, vault_id)
    answer = await go(tenant, "delete", vault_id)
    assert (answer.status_code, answer.json()["type"]) == (409, "confirmation_required"), answer.text
    assert "could not be read within 2 s" in answer.json()["detail"]
    assert await still_signs(tenant, vault_id, address)
    assert (await go(tenant, "delete", vault_id, address)).status_code == 204


async def test_dead_chains_are_waited_for_together_and_nothing_is_held(
    tenant: Tenant, node: FaultyRpc, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault_id = await tenant.vault()
    await generate(tenant, vault_id)
    asking, go_on = asyncio.Event(), asyncio.Event()
    real = holdings._hold_coin

    async def slowly(*args: Any) -> bool | None:
        asking.set()
        await go_on.wait()
        return await real(*args)

    monkeypatch.setattr(holdings, "_hold_coin", slowly)
    deleting = asyncio.create_task(go(tenant, "vault", vault_id))
    await asyncio.wait_for(asking.wait(), 30)
    # whoever writes into the vault meanwhile waits for nobody
    waiting = await tenant.rows(
        "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    assert waiting == []
    await tenant.put(vault_id, "another", "value")
    began = time.monotonic()
    answer = await deleting
    assert answer.json()["type"] == "confirmation_required"
    # 2 s in all; the rest is a slow machine's
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("way", WAYS)
async def test_a_credential_that_ends_while_balances_are_asked_does_nothing(
    tenant: Tenant, node: FaultyRpc, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    node.faults["eth_getBalance"] = Answer("0x0")
    vault_id = await tenant.vault()
    address = await generate(tenant, vault_id)
    real = holdings._hold_coin

    async def meanwhile(*args: Any) -> bool | None:
        # of the owner, or of the administrator who came last
        await tenant.change(
            "UPDATE api_keys SET revoked_at = now()"
            " WHERE id = (SELECT id FROM api_keys ORDER BY created_at DESC LIMIT 1)"
        )
        return await real(*args)

    monkeypatch.setattr(holdings, "_hold_coin", meanwhile)
    assert (await go(tenant, way, vault_id)).status_code == 401
    assert node.count("eth_getBalance") == 1
    assert await still_signs(tenant, vault_id, address)


async def test_a_testnet_a_disabled_chain_and_one_without_an_endpoint_are_not_asked(
    tenant: Tenant, node: FaultyRpc
) -> None:
    for column in (
        "is_testnet = true",
        "is_testnet = false, is_enabled = false",
        "is_enabled = true, rpc_url = NULL",
    ):
        await tenant.change(f"UPDATE chains SET {column} WHERE rpc_url = :url", url=node.url)  # noqa: S608 - from above
        vault_id = await tenant.vault()
        await generate(tenant, vault_id)
        assert (await go(tenant, "delete", vault_id)).status_code == 204
    assert node.count("eth_getBalance") == 0


async def test_secrets_that_sign_nothing_are_never_asked_for(tenant: Tenant, node: FaultyRpc) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, PATH, "a note", type="note")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    assert (await http.post(f"{url}/secret-version/{PATH}/1/disable")).status_code == 204
    assert (await http.delete(f"{url}/secrets/{PATH}")).status_code == 204
    assert (await http.delete(url)).status_code == 204
    assert node.calls == []


async def test_the_same_key_once_more_displaces_nothing(tenant: Tenant, node: FaultyRpc) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, PATH, "13" * 32, type="private_key")
    await tenant.put(vault_id, PATH, "13" * 32, type="private_key")
    assert node.calls == []


async def test_many_keys_are_shown_as_the_first_hundred_and_their_number(tenant: Tenant, node: FaultyRpc) -> None:
    vault_id = await tenant.vault()
    made = [await generate(tenant, vault_id, f"keys/{number}") for number in range(103)]
    # one that is deleted, and one that lies there twice
    await tenant.put(vault_id, "twice/a", "14" * 32, type="private_key")
    await tenant.put(vault_id, "twice/b", "14" * 32, type="private_key")
    http = tenant.as_(tenant.owner)
    assert (await http.delete(f"/v1/vaults/{vault_id}/secrets/keys/0", params={"confirm": made[0]})).is_success
    told = (await go(tenant, "vault", vault_id)).json()
    assert told["address_count"] == 103
    assert len(told["addresses"]) == 100
    assert set(told["addresses"]) <= {*made[1:], Account.from_key("14" * 32).address}
    assert (await go(tenant, "vault", vault_id, "104")).status_code == 409
    assert (await go(tenant, "vault", vault_id, "103")).status_code == 204


async def test_a_key_that_comes_while_the_chain_is_asked_is_asked_for_too(
    tenant: Tenant, node: FaultyRpc, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault_id = await tenant.vault()
    await generate(tenant, vault_id)
    node.faults["eth_getBalance"] = Answer("0x0")
    real = holdings._hold_coin

    async def meanwhile(*args: Any) -> bool | None:
        answer = await real(*args)
        monkeypatch.setattr(holdings, "_hold_coin", real)
        await generate(tenant, vault_id, "keys/late")
        node.faults["eth_getBalance"] = Answer("0x1")
        return answer

    monkeypatch.setattr(holdings, "_hold_coin", meanwhile)
    told = await go(tenant, "vault", vault_id)
    assert (told.status_code, told.json()["address_count"]) == (409, 2)


@pytest.mark.parametrize("state", ["live", "disabled", "expired"])
async def test_an_agent_never_displaces_disables_or_deletes_a_signing_key(tenant: Tenant, state: str) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent, permissions=("read", "write"))
    expires_at = {"expires_at": "2020-01-01T00:00:00Z"} if state == "expired" else {}
    await generate(tenant, vault_id, **expires_at)
    if state == "disabled":
        assert (await go(tenant, "disable", vault_id)).status_code == 204
    http, url = tenant.as_(agent), f"/v1/vaults/{vault_id}"
    key, note = {"type": "private_key", "value": "15" * 32}, {"type": "note", "value": "x"}
    answers = [
        await http.post(f"{url}/secret-version/{PATH}/1/disable"),
        await http.post(f"{url}/secret-version-disable/{PATH}/1"),
        await http.delete(f"{url}/secrets/{PATH}"),
        await http.put(f"{url}/secrets/{PATH}", json=key),
        await http.put(f"{url}/secrets/{PATH}", json=note),
        await http.post(f"{url}/secret-rotate/{PATH}"),
        await http.post(f"{url}/secret-rotate/{PATH}", json={"value": "15" * 32, "type": "private_key"}),
        await http.post(f"{url}/secret-generate/{PATH}"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 8, [answer.text for answer in answers]
    (row,) = await tenant.rows(
        "SELECT v.* FROM secret_versions v JOIN secrets s ON s.id = v.secret_id WHERE s.vault_id = :id", id=vault_id
    )
    assert (row["deleted_at"], row["disabled_at"] is None) == (None, state != "disabled")
    # elsewhere it writes as before
    assert (await http.put(f"{url}/secrets/mine", json=note)).status_code == 201
    assert (await http.delete(f"{url}/secrets/mine")).status_code == 204


async def test_an_agent_does_not_delete_its_own_vault_while_a_signing_key_lies_in_it(tenant: Tenant) -> None:
    agent = await tenant.agent()
    vault_id = await tenant.vault(agent)
    http = tenant.as_(agent)
    assert (await http.post(f"/v1/vaults/{vault_id}/secret-generate/{PATH}")).status_code == 201
    assert (await http.delete(f"/v1/vaults/{vault_id}")).status_code == 403
    assert (await go(tenant, "delete", vault_id)).status_code == 204
    assert (await http.delete(f"/v1/vaults/{vault_id}")).status_code == 204


async def test_stopping_an_agent_never_asks(tenant: Tenant, node: FaultyRpc) -> None:
    agent = await tenant.agent()
    vault_id = await tenant.vault(agent)
    await tenant.as_(agent).post(f"/v1/vaults/{vault_id}/secret-generate/{PATH}")
    http, url = tenant.as_(tenant.owner), f"/v1/agents/{agent.id}"
    assert (await http.patch(url, json={"is_active": False})).status_code == 200
    assert (await http.delete(url)).status_code == 204
    assert node.calls == []


@pytest.mark.parametrize(
    ("confirm", "addresses", "word", "expected"),
    [
        (None, [ONE], "address", False),
        ("0x" + ONE.hex(), [ONE], "address", True),
        ("0x" + ONE.hex(), [ONE, ANOTHER], "address", True),
        ("0x" + ANOTHER.hex(), [ONE, ANOTHER], "address", False),
        ("2", [ONE, ANOTHER], "address", True),
        ("1", [ONE], "address", False),
        ("1", [ONE], "number", True),
        ("01", [ONE], "number", False),
        ("²", [ONE, ANOTHER], "number", False),
        ("0x" + ONE.hex(), [ONE], "number", False),
        (ONE.hex(), [ONE], "address", False),
        ("", [ONE], "address", False),
    ],
)
def test_which_word_is_taken(confirm: str | None, addresses: list[bytes], word: Any, expected: bool) -> None:
    assert agrees(confirm, addresses, word) is expected


def test_a_mistyped_checksum_names_nothing() -> None:
    address = Account.from_key("16" * 32).address
    twisted = address[:2] + address[2:].swapcase()
    assert agrees(address, [bytes.fromhex(address[2:])], "address")
    assert not agrees(twisted, [bytes.fromhex(address[2:])], "address")
