"""The ways a path may be sent, on every route."""

from urllib.parse import quote

import pytest

from tests.support.vault_api import Tenant

FORMS = ["a/b/c", "a%2Fb%2Fc", "/".join(quote(part, safe="") for part in ("a", "b", "c")), "%61/%62/c", "a%2fb/c"]


@pytest.mark.parametrize("sent", FORMS)
async def test_every_form_means_the_same_path_on_every_route(tenant: Tenant, sent: str) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    assert (await tenant.put(vault_id, sent, "x"))["path"] == "a/b/c"
    assert (await http.get(f"{url}/secrets/{sent}")).json()["value"] == "x"
    assert (await http.get(f"{url}/secrets/a/b/c")).json()["value"] == "x"
    assert (await http.post(f"{url}/secret-rotate/{sent}", json={"value": "y"})).json()["version"] == 2
    assert (await http.get(f"{url}/secret-version/{sent}/1")).json()["value"] == "x"
    assert (await http.get(f"{url}/secret-version/{sent}%2F1")).json()["value"] == "x"
    assert (await http.post(f"{url}/secret-version/{sent}/1/disable")).status_code == 204
    assert (await http.post(f"{url}/secret-version-disable/{sent}/1")).status_code == 204
    listed = (await http.get(f"{url}/secret-versions/{sent}")).json()["versions"]
    assert [(each["path"], each["version"]) for each in listed] == [("a/b/c", 2), ("a/b/c", 1)]
    assert (await http.delete(f"{url}/secrets/{sent}")).status_code == 204
    assert (await http.post(f"{url}/secret-restore/{sent}")).status_code == 204
    assert (await http.delete(f"{url}/secrets/{sent}")).status_code == 204
    assert (await http.post(f"{url}/secret-generate/{sent}")).json()["path"] == "a/b/c"


@pytest.mark.parametrize("path", ["7", "a/7", "7/7", "a/disable", "1/disable", "disable"])
async def test_paths_that_look_like_a_version_or_a_verb(tenant: Tenant, path: str) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    await tenant.put(vault_id, path, "x")
    assert (await http.get(f"{url}/secret-version/{path}/1")).json()["value"] == "x"
    assert (await http.post(f"{url}/secret-version-disable/{path}/2")).status_code == 404
    assert (await http.post(f"{url}/secret-version/{path}/1/disable")).status_code == 204
    assert (await http.get(f"{url}/secret-version/{path}/1")).status_code == 410


@pytest.mark.parametrize("sent", ["", "a//b", "a/", "-a", "a.b", "a%20b", "a%252Fb", "%2Fa", "a%00b", "x" * 513])
async def test_bad_paths(tenant: Tenant, sent: str) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    for answer in (
        await http.put(f"{url}/secrets/{sent}", json={"value": "x"}),
        await http.get(f"{url}/secrets/{sent}"),
        await http.delete(f"{url}/secrets/{sent}"),
        await http.post(f"{url}/secret-generate/{sent}"),
        await http.post(f"{url}/secret-rotate/{sent}"),
        await http.post(f"{url}/secret-restore/{sent}"),
        await http.get(f"{url}/secret-versions/{sent}"),
        await http.get(f"{url}/secret-version/{sent}/1"),
        await http.post(f"{url}/secret-version/{sent}/1/disable"),
        await http.post(f"{url}/secret-version-disable/{sent}/1"),
    ):
        assert answer.status_code == 400, answer.request.url
