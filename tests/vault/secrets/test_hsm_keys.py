"""Private keys that go behind the HSM."""

import asyncio

import pytest
from eth_account import Account

from tests.support.vault_api import Tenant
from vault.secrets.key_text import READ_AS
from vault.secrets.shown import ENCRYPTED, SEALED

KEY = "0x" + "4c0883a69102937d6231471b5dbb6204fe512961708279feb1be6ae5538da033"
ADDRESS = Account.from_key(KEY).address


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


@pytest.mark.parametrize(
    "spelling",
    [f"\ufeff{KEY[2:]}", f'"{KEY}"', f"DEPLOYER={KEY}", f"export DEPLOYER='{KEY}' # main\r\n", f'{{"key": "{KEY}"}}'],
)
async def test_a_key_as_people_have_it_is_imported_and_the_answer_says_how(tenant: Tenant, spelling: str) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "k", spelling, type="private_key", metadata={"signing_key": False})
    assert made["metadata"] == {"address": ADDRESS, "read_as": READ_AS}
    (row,) = await tenant.rows("SELECT sealed, key_id FROM secret_versions WHERE secret_id = :id", id=made["id"])
    assert (row["sealed"], row["key_id"] is None) == (None, False)


@pytest.mark.parametrize(
    "value",
    [f"{KEY} {KEY}", f'{{"crypto": {{"ciphertext": "{KEY[2:]}", "mac": "{KEY[2:]}"}}}}', f"A={KEY}0", f"x{KEY[2:]}"],
)
async def test_where_it_cannot_be_told_nothing_is_stored(tenant: Tenant, value: str) -> None:
    vault_id = await tenant.vault()
    answer = await tenant.as_(tenant.owner).put(
        f"/v1/vaults/{vault_id}/secrets/k", json={"type": "private_key", "value": value}
    )
    assert answer.status_code == 400
    assert KEY[2:34] not in answer.text
    assert (await tenant.as_(tenant.owner).get(f"/v1/vaults/{vault_id}/secrets/k")).status_code == 404


@pytest.mark.parametrize(
    "value",
    ["-----BEGIN EC PRIVATE KEY-----", "abandon ability able about above absent", "5HueCGU8rMjxEXxiPuD5BDku4"],
)
async def test_what_is_no_signing_key_says_so_wherever_it_is_shown(tenant: Tenant, value: str) -> None:
    vault_id = await tenant.vault()
    # an address that somebody writes beside it is not where anybody should send funds
    made = await tenant.put(vault_id, "k", value, type="private_key", metadata={"address": ADDRESS, "of": "me"})
    assert made["metadata"] == {"of": "me", "signing_key": False, "notice": SEALED}
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    shown = [
        (await http.get(f"{url}/secrets")).json()["secrets"][0],
        (await http.get(f"{url}/secret-versions/k")).json()["versions"][0],
        (await http.get(f"{url}/secrets/k")).json(),
    ]
    assert [each["metadata"] for each in shown] == [{"of": "me", "signing_key": False}] * 3
    rotated = (await http.post(f"{url}/secret-rotate/k", json={"value": value})).json()
    assert (rotated["metadata"]["signing_key"], rotated["metadata"]["notice"]) == (False, SEALED)
    # another type says what its owner says
    note = await tenant.put(vault_id, "note", value, type="note", metadata={"address": ADDRESS})
    assert note["metadata"] == {"address": ADDRESS}


async def test_what_its_owner_encrypted_is_no_signing_key_either(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    assert (await http.post(f"{url}/cmek", json={"fingerprint": "ab" * 32})).status_code == 200
    made = await tenant.put(vault_id, "k", KEY, type="private_key")
    assert made["metadata"] == {"signing_key": False, "notice": ENCRYPTED}
