"""A signing key that an agent brings never becomes a wallet that people are shown, unless one of them said so."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from eth_account import Account

from tests.support.factories import Robot
from tests.support.published import assert_declared
from tests.support.vault_api import Tenant
from vault.errors import Problem
from vault.secrets.signing_key import find_signing_key

PATH = "keys/base-signer"


@pytest.fixture
async def agent(tenant: Tenant) -> Robot:
    return await tenant.agent(intents_api_enabled=True)


@pytest.fixture
async def vault_id(tenant: Tenant, agent: Robot) -> str:
    made = await tenant.vault()
    await tenant.grant(made, agent, "keys/**", ("read", "write"))
    return made


async def bring(tenant: Tenant, agent: Robot, vault_id: str, key: Any, **more: Any) -> dict[str, Any]:
    answer = await tenant.as_(agent).put(
        f"/v1/vaults/{vault_id}/secrets/{PATH}",
        json={"type": "private_key", "value": key.key.to_0x_hex(), **more},
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def shown(tenant: Tenant, vault_id: str) -> list[dict[str, Any]]:
    """Every way in which a person is shown what lies at the path."""
    http, vault = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    listed = (await http.get(f"{vault}/secrets")).json()["secrets"]
    versions = (await http.get(f"{vault}/secret-versions/{PATH}")).json()["versions"]
    return [each["metadata"] for each in (*listed, *versions)]


async def signs_with(tenant: Tenant, agent: Robot) -> str | int:
    try:
        async with tenant.database.begin() as connection:
            return "0x" + (await find_signing_key(connection, agent.caller, PATH)).address.hex()
    except Problem as problem:
        return problem.status


async def bind(tenant: Tenant, agent: Robot, vault_id: str, confirm: str | None = None) -> httpx.Response:
    return await tenant.as_(tenant.owner).put(
        f"/v1/agents/{agent.id}/signing-keys",
        json={"signing_key_path": PATH, "vault_id": vault_id},
        params={} if confirm is None else {"confirm": confirm},
    )


async def test_it_is_no_wallet_until_a_human_says_so(tenant: Tenant, agent: Robot, vault_id: str) -> None:
    key = Account.create()
    made = await bring(tenant, agent, vault_id, key, metadata={"address": key.address, "team": "a"})
    assert made["metadata"]["signing_key"] is False
    assert "signing-keys" in made["metadata"]["notice"]
    everywhere = [made["metadata"], *await shown(tenant, vault_id)]
    assert len(everywhere) == 3
    for metadata in everywhere:
        assert metadata == made["metadata"]
        assert metadata["team"] == "a"
        assert "address" not in metadata
    assert await signs_with(tenant, agent) == 403
    (written,) = await tenant.audit("secret.write", made["id"])
    assert key.address not in str(written["details"])

    bound = await bind(tenant, agent, vault_id, key.address)
    assert (bound.status_code, bound.json()["address"]) == (200, key.address)

    for metadata in await shown(tenant, vault_id):
        assert metadata == {"address": key.address, "team": "a"}
    assert await signs_with(tenant, agent) == key.address.lower()
    # from here on it is a wallet like any other: no agent takes its place
    answer = await tenant.as_(agent).put(
        f"/v1/vaults/{vault_id}/secrets/{PATH}",
        json={"type": "private_key", "value": Account.create().key.to_0x_hex()},
    )
    assert answer.status_code == 403


@pytest.mark.parametrize("form", [str, str.lower])
async def test_the_word_names_the_address(
    tenant: Tenant, agent: Robot, vault_id: str, form: Callable[[str], str]
) -> None:
    """Nobody confirms what he was not shown, nor what the agent put there since."""
    seen, other = Account.create(), Account.create()
    await bring(tenant, agent, vault_id, seen)
    asked = await bind(tenant, agent, vault_id)
    told = assert_declared(asked)
    assert (asked.status_code, told["type"]) == (409, "confirmation_required")
    assert (told["addresses"], told["address_count"]) == ([seen.address], 1)
    assert f"?confirm={seen.address}" in told["detail"]
    await bring(tenant, agent, vault_id, other)

    for word in (form(seen.address), "1", "", "yes", other.address.swapcase()):
        refused = await bind(tenant, agent, vault_id, word)
        assert (refused.status_code, refused.json()["addresses"]) == (409, [other.address]), word
        assert f"You confirmed {word!a}; expected {other.address}." in assert_declared(refused)["detail"]

    assert await signs_with(tenant, agent) == 403
    assert all("address" not in each for each in await shown(tenant, vault_id))
    rows = await tenant.rows("SELECT 1 FROM agent_signing_keys WHERE agent_id = :id", id=agent.id)
    assert rows == []
    assert (await bind(tenant, agent, vault_id, form(other.address))).status_code == 200
    assert await signs_with(tenant, agent) == other.address.lower()
    # what people are shown anyhow is bound without a question
    assert (await bind(tenant, agent, vault_id)).status_code == 200


async def test_at_a_wallets_path_it_is_refused(tenant: Tenant, agent: Robot, vault_id: str) -> None:
    wallet = Account.create()
    await tenant.put(vault_id, PATH, wallet.key.to_0x_hex(), type="private_key")
    answer = await tenant.as_(agent).put(
        f"/v1/vaults/{vault_id}/secrets/{PATH}",
        json={"type": "private_key", "value": Account.create().key.to_0x_hex()},
    )
    assert answer.status_code == 403
    assert await signs_with(tenant, agent) == wallet.address.lower()


async def test_a_human_puts_another_in_its_place(tenant: Tenant, agent: Robot, vault_id: str) -> None:
    await bring(tenant, agent, vault_id, Account.create())
    wallet = Account.create()
    made = await tenant.put(vault_id, PATH, wallet.key.to_0x_hex(), type="private_key")
    assert made["metadata"] == {"address": wallet.address}
    assert await signs_with(tenant, agent) == wallet.address.lower()


async def test_one_that_is_born_in_the_hsm_is_a_wallet_at_a_new_path_only(
    tenant: Tenant, agent: Robot, vault_id: str
) -> None:
    url = f"/v1/vaults/{vault_id}/secret-generate/{PATH}"
    born = (await tenant.as_(agent).post(url)).json()
    assert (await signs_with(tenant, agent)) == born["metadata"]["address"].lower()
    # bound by a signature, then deleted by a human: what an agent makes there is not that human's word
    deleted = await tenant.as_(tenant.owner).delete(f"/v1/vaults/{vault_id}/secrets/{PATH}")
    assert deleted.status_code in (204, 409)
    if deleted.status_code == 409:  # no chain is in reach here, so it asks first
        deleted = await tenant.as_(tenant.owner).delete(
            f"/v1/vaults/{vault_id}/secrets/{PATH}", params={"confirm": born["metadata"]["address"]}
        )
        assert deleted.status_code == 204
    again = await tenant.as_(agent).post(url)
    assert again.status_code == 201, again.text
    assert again.json()["metadata"]["signing_key"] is False
    assert await signs_with(tenant, agent) == 403


@pytest.mark.parametrize("value", ["-----BEGIN PRIVATE KEY-----", "word word word"])
async def test_an_address_in_metadata_is_not_passed_on(
    tenant: Tenant, agent: Robot, vault_id: str, value: str
) -> None:
    """What lies sealed has no account, whatever its author says of it."""
    answer = await tenant.as_(agent).put(
        f"/v1/vaults/{vault_id}/secrets/{PATH}",
        json={"type": "private_key", "value": value, "metadata": {"address": Account.create().address}},
    )
    assert answer.status_code == 201, answer.text
    for metadata in [answer.json()["metadata"], *await shown(tenant, vault_id)]:
        assert "address" not in metadata
