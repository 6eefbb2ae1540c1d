"""The ways a path may be sent, on every route."""

from urllib.parse import quote

import pytest

from tests.support.vault_api import Tenant


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
