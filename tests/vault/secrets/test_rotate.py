"""Rotation: the next version of what is there, with a value of the server's or of the caller's."""

import asyncio
import string
from typing import Any

import pytest

from tests.support.vault_api import Tenant
from vault.secrets.random_value import ALPHABETS, random_value


@pytest.mark.parametrize("charset", sorted(ALPHABETS))
def test_random_values_use_their_whole_alphabet(charset: Any) -> None:
    value = "".join(random_value(1024, charset) for _ in range(10))
    assert set(value) == set(ALPHABETS[charset])
    assert not set(value) & set(string.whitespace)


async def test_a_value_of_the_servers(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    made = await tenant.put(vault_id, "db/p", "old", type="password", metadata={"team": "a"}, max_access_count=1)
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    rotated = await http.post(f"{url}/secret-rotate/db/p")
    assert rotated.status_code == 201
    body = rotated.json()
    assert body == {**made, "version": 2, "created_at": body["created_at"]}
    value = (await http.get(f"{url}/secrets/db/p")).json()["value"]
    assert len(value) == 32
    assert set(value) <= set(string.hexdigits.lower())
    # the version before stays in history, and its read limit stays with it
    assert (await http.get(f"{url}/secret-version/db/p/1")).json()["value"] == "old"
    assert (await http.get(f"{url}/secrets/db/p")).status_code == 200
    (_, written) = await tenant.audit("secret.write", made["id"])
    assert written["details"]["version"] == 2
    assert value not in str(written["details"])


@pytest.mark.parametrize(
    ("charset", "length"), [("hex", 8), ("base64", 1024), ("alphanumeric", 33), ("ascii", 64), (None, None)]
)
async def test_length_and_charset(tenant: Tenant, charset: str | None, length: int | None) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    answer = await http.post(f"{url}/secret-rotate/a", json={"charset": charset, "length": length})
    assert answer.status_code == 201, answer.text
    value = (await http.get(f"{url}/secrets/a")).json()["value"]
    assert len(value) == (length or 32)
    assert set(value) <= set(ALPHABETS[charset or "hex"])  # type: ignore[index]


async def test_what_the_caller_gives(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a", "old", type="note", metadata={"a": 1})
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    body = {"value": "mine", "type": "password", "metadata": {"b": 2}, "max_access_count": 1}
    answer = await http.post(f"{url}/secret-rotate/a", json=body | {"expires_at": "2099-01-01T00:00:00Z"})
    assert answer.status_code == 201
    assert (answer.json()["type"], answer.json()["metadata"]) == ("password", {"b": 2})
    assert answer.json()["expires_at"] == "2099-01-01T00:00:00Z"
    assert (await http.get(f"{url}/secrets/a")).json()["value"] == "mine"
    assert (await http.get(f"{url}/secrets/a")).status_code == 410
    assert (await http.post(f"{url}/secret-rotate/a", json={"secret_type": "env_bundle"})).json()[
        "type"
    ] == "env_bundle"


@pytest.mark.parametrize(
    "body",
    [{"length": 7}, {"length": 1025}, {"length": "32"}, {"length": True}, {"charset": "utf8"}, {"type": "secret"},
     {"value": 1}, {"metadata": []}, {"type": "note", "secret_type": "file"}, {"max_access_count": -1}, []],
)  # fmt: skip
async def test_bad_bodies(tenant: Tenant, body: Any) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a", "old")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    assert (await http.post(f"{url}/secret-rotate/a", json=body)).status_code == 400
    assert (await http.get(f"{url}/secrets/a")).json()["version"] == 1


async def test_what_cannot_be_rotated(tenant: Tenant) -> None:
    vault_id, reader = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, reader)
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}/secret-rotate"
    assert (await http.post(f"{url}/a")).status_code == 404
    assert (await http.post(f"{url}/a", json={"value": "x"})).status_code == 404
    assert await tenant.rows("SELECT 1 FROM secrets WHERE vault_id = :id", id=vault_id) == []
    for path in ("a", "nothing"):
        assert (await tenant.as_(reader).post(f"{url}/{path}")).status_code == 403
    made = await tenant.put(vault_id, "a")
    await http.delete(f"/v1/vaults/{vault_id}/secrets/a")
    assert (await http.post(f"{url}/a")).status_code == 410
    (row,) = await tenant.rows("SELECT * FROM secrets WHERE id = :id", id=made["id"])
    assert row["deleted_at"] is not None
    assert row["latest_version"] == 1


async def test_who_may_not_read_is_not_shown_what_is_taken_over(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.put(vault_id, "a", metadata={"hint": "private"})
    await tenant.grant(vault_id, agent, "a", ("write",))
    url = f"/v1/vaults/{vault_id}/secret-rotate/a"
    answer = await tenant.as_(agent).post(url, json={})
    assert (answer.status_code, answer.json()["metadata"]) == (201, {})
    assert (await tenant.as_(tenant.owner).post(url, json={})).json()["metadata"] == {"hint": "private"}
    own = await tenant.as_(agent).post(url, json={"metadata": {"mine": 1}})
    assert own.json()["metadata"] == {"mine": 1}


async def test_signing_keys_are_not_rotated(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    await http.post(f"{url}/secret-generate/born")
    await tenant.put(vault_id, "brought", "22" * 32, type="private_key")
    await tenant.put(vault_id, "shown", "22" * 32, type="private_key", metadata={"exportable": True})
    await tenant.put(vault_id, "pem", "-----BEGIN", type="private_key")
    for path in ("born", "brought", "shown"):
        for body in (None, {"value": "33" * 32}, {"value": "x", "type": "note"}):
            assert (await http.post(f"{url}/secret-rotate/{path}", json=body)).status_code == 409, (path, body)
    assert (await http.post(f"{url}/secret-rotate/pem")).status_code == 409
    assert (await http.post(f"{url}/secret-rotate/pem", json={"value": "-----BEGIN 2"})).status_code == 201


async def test_after_a_leak_disable_then_rotate(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a", "leaked", type="api_key", metadata={"for": "x"})
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    await http.post(f"{url}/secret-version/a/1/disable")
    rotated = (await http.post(f"{url}/secret-rotate/a")).json()
    assert (rotated["version"], rotated["type"], rotated["metadata"]) == (2, "api_key", {"for": "x"})
    assert (await http.get(f"{url}/secrets/a")).status_code == 200


async def test_concurrent_rotations_and_writes_lose_nothing(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    await tenant.put(vault_id, "a")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    answers = await asyncio.gather(
        *(http.post(f"{url}/secret-rotate/a") for _ in range(8)),
        *(http.put(f"{url}/secrets/a", json={"value": "x"}) for _ in range(8)),
    )
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 18))
