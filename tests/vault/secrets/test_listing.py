"""A list shows what the caller may read, at the cost of the page."""

from typing import Any

import pytest

from tests.support.vault_api import Tenant


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
    monkeypatch.setattr("vault.secrets.listing.SCAN_BATCH", 3)
    vault_id, agent = await tenant.vault(), await tenant.agent()
    for number in range(10):
        await tenant.put(vault_id, f"n/{number}")
    await tenant.grant(vault_id, agent, "n/0")
    await tenant.grant(vault_id, agent, "n/8")
    listed = (await tenant.as_(agent).get(f"/v1/vaults/{vault_id}/secrets")).json()["secrets"]
    assert [each["path"] for each in listed] == ["n/0", "n/8"]
