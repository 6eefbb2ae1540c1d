"""A list shows what the caller may read, at the cost of the page."""

from datetime import UTC, datetime
from itertools import product
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.support.vault_api import Tenant
from vault.auth.caller import Caller
from vault.policies.access import Access, load_access
from vault.policies.conditions import parse_conditions
from vault.policies.decide import Grant, VaultFacts
from vault.secrets import repository
from vault.secrets.listing import readable


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


async def test_scopes_narrow_the_list(tenant: Tenant) -> None:
    narrow = await tenant.agent(scopes=["db/*", "keys/**"])
    vault_id = await tenant.vault(narrow)
    await tenant.grant(vault_id, tenant.owner, permissions=("read", "write"))
    for path in ("a", "db/one", "db/two/deep", "keys", "keys/a/b"):
        await tenant.put(vault_id, path)
    http, url = tenant.as_(narrow), f"/v1/vaults/{vault_id}/secrets"
    assert [each["path"] for each in (await http.get(url)).json()["secrets"]] == ["db/one", "keys", "keys/a/b"]
    assert [each["path"] for each in (await http.get(url, params={"prefix": "k"})).json()["secrets"]] == [
        "keys",
        "keys/a/b",
    ]


async def test_pages_are_full_whatever_is_deleted_or_disabled(tenant: Tenant) -> None:
    vault_id, agent = await tenant.vault(), await tenant.agent()
    await tenant.grant(vault_id, agent, "n/*")
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    for number in range(8):
        await tenant.put(vault_id, f"n/{number}")
    await http.delete(f"{url}/secrets/n/0")
    await http.post(f"{url}/secret-version/n/2/1/disable")
    for who in (tenant.owner, agent):
        listed = [
            [each["path"] for each in (await tenant.as_(who).get(f"{url}/secrets", params=page)).json()["secrets"]]
            for page in ({"limit": 3}, {"limit": 3, "offset": 3}, {"limit": 3, "offset": 6})
        ]
        assert listed == [["n/1", "n/3", "n/4"], ["n/5", "n/6", "n/7"], []]


PATHS = ["/".join(parts) for size in (1, 2, 3) for parts in product(("a", "ab", "a-b", "b", "B"), repeat=size)]
PATTERNS = st.lists(st.sampled_from(["a", "ab", "b", "*", "**", "a*", "*b"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(PATTERNS, max_size=3), st.none() | st.lists(PATTERNS, max_size=2), st.booleans(), st.booleans())
def test_the_stretches_agree_with_the_decision(
    patterns: list[str], scopes: list[str] | None, is_creator: bool, is_live: bool
) -> None:
    """Nothing readable lies outside of them, and what they call exact needs no decision path by path."""
    now, ids = datetime(2026, 1, 1, tzinfo=UTC), [uuid4() for _ in range(4)]
    caller = Caller(
        kind="agent",
        id=ids[0],
        org_id=ids[1],
        role=None,
        credential="jwt",
        scopes=None if scopes is None else tuple(scopes),
    )
    grants = tuple(
        Grant(
            id=uuid4(),
            vault_id=ids[2],
            principal_type="agent",
            principal_id=ids[0],
            pattern=pattern,
            permissions=frozenset({"read"}),
            conditions=parse_conditions(None),
            expires_at=None if is_live else now,
        )
        for pattern in patterns
    )
    vault = VaultFacts(ids[2], ids[1], ids[0] if is_creator else ids[3], "agent")
    access = Access(caller, vault, "", "", now, grants, now)
    found = readable(access)
    for path in PATHS:
        inside = any(each.low <= path < each.high for each in found.items)
        assert inside or not access.may(path, "read")
        if found.exact:
            assert inside is access.may(path, "read")


async def fill(tenant: Tenant, vault_id: str, count: int) -> None:
    """Secrets d00/s000000 and on, a hundred to a directory, straight into the tables."""
    async with tenant.database.begin() as connection:
        made = await connection.execute(
            text(
                """
                WITH s AS (
                    INSERT INTO secrets (id, vault_id, path, latest_version, newest)
                    SELECT gen_random_uuid(), :vault_id,
                           'd' || lpad((i / 100)::text, 2, '0') || '/s' || lpad(i::text, 6, '0'), 1,
                           jsonb_build_object('type', 'note', 'version', 1, 'metadata', CAST('{}' AS jsonb),
                               'address', NULL, 'created_at', now(), 'expires_at', NULL, 'cmek', false)
                    FROM generate_series(0, :count - 1) i
                    RETURNING id
                )
                INSERT INTO secret_versions
                    (secret_id, version, type, exportable, metadata, access_count, created_by, created_by_type)
                SELECT id, 1, 'note', false, '{}', 0, id, 'user' FROM s
                """
            ),
            {"vault_id": vault_id, "count": count},
        )
        assert made.rowcount == count


async def test_a_page_costs_the_same_in_a_large_vault(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = await tenant.vault(), await tenant.vault()
    await fill(tenant, large, 10_000)
    await fill(tenant, small, 600)
    narrow = await tenant.agent()
    for vault_id in (large, small):
        await tenant.grant(vault_id, narrow, "d05/s*")

    walked: list[int] = []
    own = repository.listed

    async def counted(*args: Any, **more: Any) -> Any:
        found = await own(*args, **more)
        walked.append(len(found))
        return found

    monkeypatch.setattr("vault.secrets.repository.listed", counted)

    async def buffers(vault_id: str, who: Any, limit: int = 100) -> float:
        """What one page makes the database touch, by its own count of everything sent to it."""
        touched = []
        async with tenant.database.begin() as connection:
            access = await load_access(connection, who.caller, UUID(vault_id))
            within = readable(access)
            parameters = {
                "lows": [each.low for each in within.items],
                "highs": [each.high for each in within.items],
                "vault_id": vault_id,
                "after": "",
                "most": limit,
                "limit": limit,
                "offset": 0,
                "in_full": True,
            }
            for _ in range(3):
                plan = await connection.execute(
                    text("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + repository._LISTED.text), parameters
                )
                touched.append(plan.scalar_one()[0]["Plan"]["Shared Hit Blocks"])
        return median(touched)

    whole = await buffers(large, tenant.owner, 10_000)
    for who in (tenant.owner, narrow):
        # a hundred rows either way, which may lie more or less scattered; a hundredth of the walk with room for that
        assert await buffers(large, who) <= 1.2 * await buffers(small, who) + whole / 20
    for who in (tenant.owner, narrow):
        for vault_id in (large, small):
            page = await tenant.as_(who).get(f"/v1/vaults/{vault_id}/secrets", params={"limit": 3})
            assert len(page.json()["secrets"]) == 3
    # what is granted narrowly is all that is walked: a hundredth of the large vault
    assert max(walked) <= 1000
    assert len(walked) == 4


async def test_a_list_shows_what_storing_answered(tenant: Tenant) -> None:
    vault_id = await tenant.vault()
    http, url = tenant.as_(tenant.owner), f"/v1/vaults/{vault_id}"
    made = [
        await tenant.put(vault_id, "a", "x", metadata={"deep": [{"é": 1.5}]}, expires_at="2099-01-01T00:00:00Z"),
        await tenant.put(vault_id, "b", "22" * 32, type="private_key"),
        (await http.post(f"{url}/secret-generate/c")).json(),
    ]
    async with tenant.database.begin() as connection:
        await connection.execute(
            text("UPDATE vaults SET cmek_fingerprint = :f WHERE id = :id"), {"f": "ab" * 32, "id": vault_id}
        )
    made.append(await tenant.put(vault_id, "d", "AQID"))
    assert (await http.get(f"{url}/secrets")).json()["secrets"] == made
    assert made[3]["cmek_encrypted"] is True
    # also for somebody who is let through path by path
    agent = await tenant.agent()
    await tenant.grant(vault_id, agent, "*")
    assert (await tenant.as_(agent).get(f"{url}/secrets")).json()["secrets"] == made
