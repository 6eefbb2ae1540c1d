"""Tiers as the operator sets them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support.factories import audit_rows
from tests.support.vault_api import Tenant

URL = "/v1/admin/tiers"


@pytest.fixture
async def name(admin: Tenant) -> AsyncIterator[str]:
    """A tier's name; whatever it stands for is undefined again at the end."""
    chosen = f"t-{uuid4()}"
    yield chosen
    await admin.change("DELETE FROM tiers")


async def vaults(tenant: Tenant, number: int) -> list[int]:
    http = tenant.as_(tenant.owner)
    return [(await http.post("/v1/vaults", json={"name": str(uuid4())})).status_code for _ in range(number)]


async def test_a_tier_counts_until_it_is_gone(admin: Tenant, tenant: Tenant, name: str) -> None:
    http, org = admin.as_(admin.owner), f"/v1/admin/orgs/{tenant.owner.org_id}"
    made = await http.put(f"{URL}/{name}", json={"max_vaults": 1, "has_cmek": False})
    assert made.status_code == 200
    assert made.json() == {"name": name, "max_vaults": 1, "has_cmek": False, "is_default": False}
    assert made.json() in (await http.get(URL)).json()["tiers"]
    assert await vaults(tenant, 2) == [201, 201]
    assigned = (await http.put(f"{org}/billing-tier", json={"tier": name, "duration_days": 90})).json()
    end = datetime.fromisoformat(assigned["period_end"])
    assert abs(end - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=5)
    assert await vaults(tenant, 1) == [403]
    limits = await http.put(f"{org}/limits", json={"max_vaults": 3})
    assert (limits.json()["tier"], limits.json()["max_vaults"]) == (name, 3)
    assert await vaults(tenant, 2) == [201, 403]
    await http.put(f"{org}/limits", json={"is_sponsored": True, "free_tier_override": 5000})
    shown = (await http.get(f"{org}/limits")).json()
    assert (shown["is_sponsored"], shown["free_tier_override"], shown["max_vaults"]) == (True, 5000, 3)
    assert await vaults(tenant, 1) == [201]
    await http.put(f"{org}/limits", json={"is_sponsored": None, "max_vaults": None})
    assert await vaults(tenant, 1) == [403]
    assert (await http.delete(f"{URL}/{name}")).status_code == 204
    assert (await http.delete(f"{URL}/{name}")).status_code == 404
    assert await vaults(tenant, 1) == [201]
    told = [row.action for row in await audit_rows(tenant.database, tenant.owner.org_id)]
    assert [action for action in told if action.startswith("tier.")] == ["tier.assign"] + ["tier.limits"] * 3
    (row,) = await admin.audit("tier.delete", name)
    assert row["details"]["old"]["max_vaults"] == 1


async def test_there_is_one_default(admin: Tenant, tenant: Tenant, name: str) -> None:
    http = admin.as_(admin.owner)
    answers = await asyncio.gather(
        *(http.put(f"{URL}/{name}-{number}", json={"is_default": True, "max_vaults": number}) for number in range(4))
    )
    assert {answer.status_code for answer in answers} == {200}
    (default,) = [tier for tier in (await http.get(URL)).json()["tiers"] if tier["is_default"]]
    assert await vaults(tenant, 5) == [201] * default["max_vaults"] + [403] * (5 - default["max_vaults"])
    # the administrator's own organisation is exempt
    assert await vaults(admin, 5) == [201] * 5


async def test_the_names_of_the_contract_are_always_known(admin: Tenant, tenant: Tenant) -> None:
    http, url = admin.as_(admin.owner), f"/v1/admin/orgs/{tenant.owner.org_id}/billing-tier"
    pro = (await http.put(url, json={"tier": "pro"})).json()
    end = datetime.fromisoformat(pro["period_end"])
    assert abs(end - datetime.now(UTC) - timedelta(days=365)) < timedelta(minutes=5)
    assert "period_end" not in (await http.put(url, json={"tier": "free"})).json()
    unknown = await http.put(url, json={"tier": "gold"})
    assert unknown.status_code == 400
    assert "business" in unknown.json()["detail"]
    for bad in ({}, {"tier": "pro", "duration_days": 0}, {"tier": "pro", "duration_days": 3651}, {"tier": 1}):
        assert (await http.put(url, json=bad)).status_code == 400


@pytest.mark.parametrize(
    "body", [{"max_vaults": -1}, {"max_vaults": "1"}, {"max_vaults": 2**31}, {"max_valuts": 1}, {"has_cmek": "no"}]
)
async def test_bad_tiers(admin: Tenant, name: str, body: dict[str, Any]) -> None:
    assert (await admin.as_(admin.owner).put(f"{URL}/{name}", json=body)).status_code == 400
    for bad in ("Upper", "-x", "x" * 65):
        assert (await admin.as_(admin.owner).put(f"{URL}/{bad}", json={})).status_code == 400


async def test_who_may(tenant: Tenant, admin: Tenant) -> None:
    http, org = tenant.as_(tenant.owner), f"/v1/admin/orgs/{tenant.owner.org_id}"
    for url, body in ((f"{URL}/x", {}), (f"{org}/limits", {}), (f"{org}/billing-tier", {"tier": "pro"})):
        assert (await http.put(url, json=body)).status_code == 403
    for url in (URL, f"{org}/limits"):
        assert (await http.get(url)).status_code == 403
    assert (await http.delete(f"{URL}/x")).status_code == 403
    for url, body in (("limits", {}), ("billing-tier", {"tier": "pro"})):
        unknown = f"/v1/admin/orgs/{uuid4()}/{url}"
        assert (await admin.as_(admin.owner).put(unknown, json=body)).status_code == 404
