"""Platform settings over HTTP."""

import pytest

from tests.support.vault_api import Tenant
from vault.admin.settings import REQUIRE_SIMULATION, get_setting

URL = "/v1/admin/settings"


async def setting(tenant: Tenant, key: str) -> str | None:
    async with tenant.database.begin() as connection:
        return await get_setting(connection, key)


async def test_simulation_is_required_until_an_admin_says_otherwise(admin: Tenant) -> None:
    http = admin.as_(admin.owner)
    assert await setting(admin, REQUIRE_SIMULATION) == "true"
    changed = await http.put(f"{URL}/{REQUIRE_SIMULATION}", json={"value": "false"})
    assert changed.status_code == 200
    body = changed.json()
    assert (body["key"], body["value"], body["updated_by"]) == (REQUIRE_SIMULATION, "false", str(admin.owner.id))
    assert body["updated_at"].endswith("Z")
    assert await setting(admin, REQUIRE_SIMULATION) == "false"
    assert body in (await http.get(URL)).json()["settings"]
    await http.put(f"{URL}/{REQUIRE_SIMULATION}", json={"value": "true"})
    assert (await http.delete(f"{URL}/{REQUIRE_SIMULATION}")).status_code == 204
    assert (await http.delete(f"{URL}/{REQUIRE_SIMULATION}")).status_code == 404
    assert await setting(admin, REQUIRE_SIMULATION) == "true"
    mine = [
        row for row in await admin.audit("setting.update", REQUIRE_SIMULATION) if row["org_id"] == admin.owner.org_id
    ]
    assert [(row["details"]["old"], row["details"]["new"]) for row in mine] == [("true", "false"), ("false", "true")]


async def test_a_setting_nobody_knows(admin: Tenant) -> None:
    refused = await admin.as_(admin.owner).put(f"{URL}/intents_api.require_simulations", json={"value": "false"})
    assert refused.status_code == 400
    assert REQUIRE_SIMULATION in refused.json()["detail"]
    assert await setting(admin, "x.y") is None


@pytest.mark.parametrize(
    ("key", "body"),
    [(REQUIRE_SIMULATION, {"value": "False"}), (REQUIRE_SIMULATION, {"value": False}), (REQUIRE_SIMULATION, {}),
     (REQUIRE_SIMULATION, {"value": "true", "more": 1}), ("Upper", {"value": "x"}), ("a..b", {"value": "x"}),
     ("a" * 129, {"value": "x"})],
)  # fmt: skip
async def test_bad_settings(admin: Tenant, key: str, body: dict[str, object]) -> None:
    assert (await admin.as_(admin.owner).put(f"{URL}/{key}", json=body)).status_code == 400


async def test_only_the_platform_admin(tenant: Tenant) -> None:
    for who in (tenant.owner, await tenant.agent()):
        http = tenant.as_(who)
        assert (await http.get(URL)).status_code == 403
        assert (await http.put(f"{URL}/a.b", json={"value": "x"})).status_code == 403
        assert (await http.delete(f"{URL}/a.b")).status_code == 403
