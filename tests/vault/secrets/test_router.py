"""Secrets over HTTP, on a real database and a real HSM."""

import asyncio
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from eth_account import Account

from tests.support.vault_api import Tenant
from vault.secrets.types import TYPES

KEY = "0x" + "4c0883a69102937d6231471b5dbb6204fe512961708279feb1be6ae5538da033"
ADDRESS = Account.from_key(KEY).address


async def test_put_and_get(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/db/main-password"
    value = "pä55\nwörd ✓"
    stored = await http.put(url, json={"value": value, "type": "password", "metadata": {"team": "a"}})
    assert stored.status_code == 201
    made = stored.json()
    assert set(made) == {"id", "path", "type", "version", "metadata", "created_at"}
    assert (made["path"], made["type"], made["version"]) == ("db/main-password", "password", 1)
    assert made["metadata"] == {"team": "a"}

    read = await http.get(url, headers={"Content-Type": "application/json"})
    assert read.status_code == 200
    assert read.headers["cache-control"] == "no-store"
    assert read.json() == {**made, "value": value, "created_by": f"user:{tenant.owner.id}"}

    (written,) = await tenant.audit("secret.write", made["id"])
    (opened,) = await tenant.audit("secret.read", made["id"])
    assert opened["details"] == {"vault_id": vault_id, "path": "db/main-password", "version": 1}
    assert value not in str(written["details"])
    (row,) = await tenant.rows("SELECT * FROM secret_versions WHERE secret_id = :id", id=made["id"])
    assert value.encode() not in bytes(row["sealed"])


async def test_versions_follow_each_other_and_keep_their_type(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    first = await tenant.put(vault_id, "a", "one", secret_type="api_key")
    second = await tenant.put(vault_id, "a", "two")
    assert (first["id"], first["type"]) == (second["id"], second["type"])
    assert (first["version"], second["version"]) == (1, 2)
    assert second["metadata"] == {}
    assert (await tenant.put(vault_id, "b"))["type"] == "generic"
    read = (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/a")).json()
    assert (read["value"], read["version"]) == ("two", 2)


async def test_concurrent_writers_get_consecutive_versions(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    made = await asyncio.gather(*(tenant.put(vault_id, "a", str(number)) for number in range(20)))
    assert sorted(each["version"] for each in made) == list(range(1, 21))
    assert len({each["id"] for each in made}) == 1
    read = (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/a")).json()
    assert read["version"] == 20


@pytest.mark.parametrize("type_", sorted(TYPES))
async def test_every_type_of_the_contract(tenant: Tenant, type_: str) -> None:
    vault_id = await tenant.vault()
    assert (await tenant.put(vault_id, "a", "not a hex key", type=type_))["type"] == type_
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/a")).json()["value"] == "not a hex key"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"value": 7},
        {"value": None},
        {"value": "x", "type": "secret"},
        {"value": "x", "secret_type": "secret"},
        {"value": "x", "type": "note", "secret_type": "file"},
        {"value": "x", "metadata": []},
        {"value": "x", "metadata": {"a": "b" * 70_000}},
        {"value": "x", "max_access_count": -1},
        {"value": "x", "max_access_count": 1.5},
        {"value": "x", "max_access_count": True},
        {"value": "x", "max_access_count": "3"},
        {"value": "x", "max_access_count": 2**31},
        {"value": "x", "expires_at": "soon"},
        {"value": "x", "expires_at": 1},
        {"value": "a\x00b"},
        {"value": "x", "metadata": {"a": "\x00"}},
    ],
)
async def test_bad_bodies_store_nothing(tenant: Tenant, body: dict[str, Any]) -> None:
    vault_id = await tenant.vault()
    answer = await tenant.as_(tenant.owner).put(f"/v1/vaults/{vault_id}/secrets/a", json=body)
    assert answer.status_code == 400, answer.text
    assert isinstance(answer.json()["detail"], str)
    assert await tenant.rows("SELECT 1 FROM secrets WHERE vault_id = :id", id=vault_id) == []


async def test_a_refused_body_is_not_quoted_back(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    body = {"value": KEY, "type": "unheard-of"}
    answer = await tenant.as_(tenant.owner).put(f"/v1/vaults/{vault_id}/secrets/a", json=body)
    assert answer.status_code == 400
    assert KEY[10:40] not in answer.text


@pytest.mark.parametrize("sent", ["a/b/c", "a%2Fb%2Fc", "/".join(quote(part, safe="") for part in ("a", "b", "c"))])
async def test_the_three_ways_to_send_a_path(tenant: Tenant, sent: str) -> None:
    vault_id = await tenant.vault()
    assert (await tenant.put(vault_id, sent, "x"))["path"] == "a/b/c"
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/{sent}")).json()["value"] == "x"
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/a/b/c")).json()["value"] == "x"


@pytest.mark.parametrize("sent", ["", "a//b", "a/", "-a", "a.b", "a%20b", "a%252Fb", "%2Fa", "a%00b", "x" * 513])
async def test_bad_paths(tenant: Tenant, sent: str) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/{sent}"
    assert (await http.put(url, json={"value": "x"})).status_code == 400
    assert (await http.get(url)).status_code == 400
    assert (await http.delete(url)).status_code == 400
    assert (await http.post(f"/v1/vaults/{vault_id}/secret-generate/{sent}")).status_code == 400


async def test_permission_comes_before_existence(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.put(vault_id, "here")
    await tenant.grant(vault_id, agent, "mine/*")
    http = tenant.as_(agent)
    details = set()
    for path in ("here", "not-here"):
        answer = await http.get(f"/v1/vaults/{vault_id}/secrets/{path}")
        assert answer.status_code == 403
        details.add(answer.json()["detail"])
    assert len(details) == 1
    assert (await http.get(f"/v1/vaults/{vault_id}/secrets/mine/a")).status_code == 404
    assert (await http.put(f"/v1/vaults/{vault_id}/secrets/mine/a", json={"value": "x"})).status_code == 403
    assert (await http.delete(f"/v1/vaults/{vault_id}/secrets/here")).status_code == 403
    assert await tenant.rows("SELECT 1 FROM secrets WHERE vault_id = :id AND path <> 'here'", id=vault_id) == []


async def test_delete_then_revive(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/a"
    assert (await http.delete(url)).status_code == 404
    made = await tenant.put(vault_id, "a", "old", type="note")
    gone = await http.delete(url)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await http.get(url)).status_code == 410
    assert (await http.delete(url)).status_code == 410
    assert (await http.get(f"/v1/vaults/{vault_id}/secrets")).json()["secrets"] == []
    assert len(await tenant.audit("secret.delete", made["id"])) == 1

    again = await tenant.put(vault_id, "a", "new")
    assert (again["id"], again["version"], again["type"]) == (made["id"], 2, "note")
    assert (await http.get(url)).json()["value"] == "new"
    old, new = await tenant.rows(
        "SELECT deleted_at FROM secret_versions WHERE secret_id = :id ORDER BY version", id=made["id"]
    )
    assert old["deleted_at"] is not None
    assert new["deleted_at"] is None


async def test_expiry(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/a"
    made = await tenant.put(vault_id, "a", expires_at="2099-01-01T00:00:00Z")
    assert made["expires_at"] == "2099-01-01T00:00:00Z"
    assert (await http.get(url)).status_code == 200
    await tenant.put(vault_id, "a", expires_at="2020-01-01T00:00:00Z")
    assert (await http.get(url)).status_code == 410
    await tenant.put(vault_id, "a")
    assert (await http.get(url)).status_code == 200


async def test_a_disabled_version_gives_way_to_the_one_before(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/a"
    await tenant.put(vault_id, "a", "one")
    made = await tenant.put(vault_id, "a", "two")
    disable = "UPDATE secret_versions SET disabled_at = now() WHERE secret_id = :id AND version = :v RETURNING 1"
    await tenant.rows(disable, id=made["id"], v=2)
    assert (await http.get(url)).json()["value"] == "one"
    await tenant.rows(disable, id=made["id"], v=1)
    assert (await http.get(url)).status_code == 410
    assert (await tenant.put(vault_id, "a"))["version"] == 3


async def test_reads_are_counted_exactly(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    made = await tenant.put(vault_id, "a", "x", max_access_count=7)
    http, url = tenant.as_(agent), f"/v1/vaults/{vault_id}/secrets/a"
    # neither listing nor a refused read counts
    await http.get(f"/v1/vaults/{vault_id}/secrets")
    await tenant.as_(await tenant.agent()).get(url)
    answers = await asyncio.gather(*(http.get(url) for _ in range(30)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 7
    assert statuses.count(410) == 23
    assert len(await tenant.audit("secret.read", made["id"])) == 7
    # a new version starts afresh, and 0 is unlimited
    await tenant.put(vault_id, "a", "y", max_access_count=0)
    assert {(await http.get(url)).status_code for _ in range(3)} == {200}


async def test_a_value_moved_to_another_place_does_not_open(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    one, other = await tenant.put(vault_id, "a", "one"), await tenant.put(vault_id, "b", "two")
    await tenant.rows(
        "UPDATE secret_versions SET sealed = (SELECT sealed FROM secret_versions WHERE secret_id = :a)"
        " WHERE secret_id = :b RETURNING 1",
        a=one["id"],
        b=other["id"],
    )
    answer = await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/b")
    assert answer.status_code == 500
    assert "one" not in answer.text
    # and what did not leave is not in the audit either
    assert await tenant.audit("secret.read", other["id"]) == []


async def test_listing(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    for path in ("b/two", "a/one", "a/two", "a-x", "ab", "B", "z/deep/er"):
        await tenant.put(vault_id, path, "x", type="note")
    await tenant.put(vault_id, "a/one", "y")
    url = f"/v1/vaults/{vault_id}/secrets"
    http = tenant.as_(tenant.owner)

    listed = (await http.get(url)).json()["secrets"]
    assert [each["path"] for each in listed] == ["B", "a-x", "a/one", "a/two", "ab", "b/two", "z/deep/er"]
    assert listed[2]["version"] == 2
    assert "value" not in listed[0]
    assert (listed[0]["type"], listed[0]["metadata"]) == ("note", {})

    async def paths(http_: Any, **query: Any) -> list[str]:
        return [each["path"] for each in (await http_.get(url, params=query)).json()["secrets"]]

    assert await paths(http, prefix="a") == ["a-x", "a/one", "a/two", "ab"]
    assert await paths(http, prefix="a/") == ["a/one", "a/two"]
    assert await paths(http, prefix="a/one") == ["a/one"]
    assert await paths(http, prefix="zz") == []
    assert await paths(http, limit=2, offset=1) == ["a-x", "a/one"]

    bot = tenant.as_(agent)
    assert (await bot.get(url)).status_code == 403
    await tenant.grant(vault_id, agent, "a/*")
    await tenant.grant(vault_id, agent, "b/**", permissions=("write",))
    assert await paths(bot) == ["a/one", "a/two"]
    assert await paths(bot, limit=1, offset=1) == ["a/two"]
    assert await paths(bot, prefix="b") == []
    assert (await bot.get(url, params={"limit": 0})).status_code == 400
    assert (await bot.get(url, params={"prefix": "a\x00"})).status_code == 400
    assert (await bot.get(url, params={"prefix": "a%"})).status_code == 400


async def test_listing_walks_past_what_may_not_be_read(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.secrets.service.SCAN_BATCH", 3)
    vault_id, agent = await tenant.vault(), await tenant.agent()
    for number in range(10):
        await tenant.put(vault_id, f"n/{number}")
    await tenant.grant(vault_id, agent, "n/0")
    await tenant.grant(vault_id, agent, "n/8")
    listed = (await tenant.as_(agent).get(f"/v1/vaults/{vault_id}/secrets")).json()["secrets"]
    assert [each["path"] for each in listed] == ["n/0", "n/8"]


@pytest.mark.parametrize("spelling", [KEY, KEY[2:], "0x" + KEY[2:].upper()])
async def test_an_imported_key_cannot_be_read_back(tenant: Tenant, spelling: str) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(
        vault_id, "keys/anvil-signer", spelling, type="private_key", metadata={"exportable": "true"}
    )
    assert made["metadata"] == {"exportable": "true", "address": ADDRESS}
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets"
    answer = await http.get(f"{url}/keys/anvil-signer")
    assert answer.status_code == 403
    assert "exportable" in answer.json()["detail"]
    assert (await http.get(url)).json()["secrets"][0]["metadata"]["address"] == ADDRESS
    (row,) = await tenant.rows("SELECT * FROM secret_versions WHERE secret_id = :id", id=made["id"])
    assert row["sealed"] is None
    assert row["key_id"] is not None
    (written,) = await tenant.audit("secret.write", made["id"])
    assert written["details"]["address"] == ADDRESS
    assert KEY[2:34] not in str(written["details"]).lower()


async def test_an_exportable_key_can_be_read_back(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "k", KEY, type="private_key", metadata={"exportable": True})
    assert made["metadata"]["address"] == ADDRESS
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/k")).json()["value"] == KEY


async def test_a_key_path_stays_one_when_no_type_is_named(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "k", KEY, type="private_key")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secrets/k"
    await http.delete(url)
    revived = await tenant.put(vault_id, "k", KEY)
    assert revived["type"] == "private_key"
    assert (await http.get(url)).status_code == 403


@pytest.mark.parametrize("value", ["-----BEGIN EC PRIVATE KEY-----", "g" * 64])
async def test_other_private_keys_are_sealed(tenant: Tenant, value: str) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "k", value, type="private_key")
    assert "address" not in made["metadata"]
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/k")).json()["value"] == value


@pytest.mark.parametrize("type_", ["private_key", "ssh_key"])
async def test_intents_agents_never_read_keys(tenant: Tenant, type_: str) -> None:
    vault_id = await tenant.vault()
    intents, plain = await tenant.agent(intents_api_enabled=True), await tenant.agent()
    await tenant.put(vault_id, "k", KEY, type=type_, metadata={"exportable": True}, max_access_count=1)
    await tenant.put(vault_id, "note", "x")
    for who in (intents, plain):
        await tenant.grant(vault_id, who)
    url = f"/v1/vaults/{vault_id}/secrets"
    assert (await tenant.as_(intents).get(f"{url}/k")).status_code == 403
    assert (await tenant.as_(intents).get(f"{url}/note")).status_code == 200
    # the refused read was not counted
    assert (await tenant.as_(plain).get(f"{url}/k")).json()["value"] == KEY


async def test_generate_in_place(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent)
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secret-generate/keys/anvil-signer"
    assert (await tenant.as_(agent).post(url)).status_code == 403
    answer = await http.post(url, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["type"], made["version"]) == ("private_key", 1)
    assert len(made["metadata"]["address"]) == 42
    assert (await http.get(f"/v1/vaults/{vault_id}/secrets/keys/anvil-signer")).status_code == 403
    # a second time would displace the key
    assert (await http.post(url)).status_code == 409
    assert len(await tenant.audit("secret.write", made["id"])) == 1
    assert (await http.delete(f"/v1/vaults/{vault_id}/secrets/keys/anvil-signer")).status_code == 204
    again = (await http.post(url, json={"metadata": {"for": "ops"}})).json()
    assert again["version"] == 2
    assert again["metadata"]["for"] == "ops"
    assert again["metadata"]["address"] != made["metadata"]["address"]
    bad = await http.post(f"/v1/vaults/{vault_id}/secret-generate/x", json={"metadata": {"exportable": True}})
    assert bad.status_code == 400


async def test_of_many_generating_at_once_one_succeeds(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secret-generate/k"
    answers = await asyncio.gather(*(http.post(url) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


async def test_large_values_come_back_whole(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    value = "x" * (4 * 1024 * 1024)
    await tenant.put(vault_id, "big", value, type="file")
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/big")).json()["value"] == value


async def test_an_empty_value_is_a_value(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "empty", "")
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/empty")).json()["value"] == ""


async def test_unknown_vaults_and_no_credential(tenant: Tenant) -> None:
    url = f"/v1/vaults/{uuid4()}/secrets/a"
    assert (await tenant.as_(tenant.owner).put(url, json={"value": "x"})).status_code == 404
    assert (await tenant.as_(None).get(url)).status_code == 401
    assert (await tenant.as_(tenant.owner).get("/v1/vaults/not-an-id/secrets/a")).status_code == 400


@pytest.mark.parametrize("spelling", [f"0x{KEY[2:]}\n", f"  {KEY[2:]}  ", f"0X{KEY[2:]}"])
async def test_a_key_with_white_space_or_another_prefix_is_a_key_all_the_same(tenant: Tenant, spelling: str) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "keys/anvil-signer", spelling, type="private_key")
    assert made["metadata"]["address"].startswith("0x")


@pytest.mark.parametrize(
    "broken", [KEY[:-1], f"{KEY}0", "0x" + "0" * 64, "0x" + "f" * 64, "0x", "0x12", "", "abcdef"]
)
async def test_what_looks_like_a_key_but_is_none_is_refused(tenant: Tenant, broken: str) -> None:
    vault_id = await tenant.vault()
    answer = await tenant.as_(tenant.owner).put(
        f"/v1/vaults/{vault_id}/secrets/keys/anvil-signer", json={"type": "private_key", "value": broken}
    )
    assert answer.status_code == 400, answer.text
    assert len(broken) < 6 or broken not in answer.text


@pytest.mark.parametrize(
    "body", [{"value": "oops"}, {"value": "oops", "type": "private_key"}, {"value": "x", "type": "note"}]
)
async def test_a_slip_does_not_replace_a_signing_key(tenant: Tenant, body: dict[str, str]) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "keys/anvil-signer", KEY, type="private_key")
    answer = await tenant.as_(tenant.owner).put(f"/v1/vaults/{vault_id}/secrets/keys/anvil-signer", json=body)
    assert answer.status_code == 409, answer.text
    another = await tenant.put(vault_id, "keys/anvil-signer", "0x" + "11" * 32, type="private_key")
    assert another["version"] == 2
