"""Whose spend a resync frees: only agents that have some to free, and the answer says when more are left."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from intents import resync
from tests.intents.test_budget import reserve
from vault.db import Database

PUT = text("""
    UPDATE transactions SET org_id = :org_id, wallet_address = :address, nonce = :nonce WHERE id = :id
""")
FREE = text("UPDATE spend_reservations SET state = 'released', in_window = false WHERE agent_id = ANY(:agents)")


async def test_agents_without_anything_to_free_keep_nobody_waiting(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "MAX_AGENTS", 2)
    org_id, address = uuid4(), b"\x07" * 20
    # the first by their ids have spend near the chain's count alone
    agents = sorted(uuid4() for _ in range(8))
    for number, agent_id in enumerate(agents):
        made = await reserve(database, agent_id, 1)
        async with database.begin() as connection:
            nonce = number if number < 5 else 20_000 + number
            await connection.execute(PUT, {"org_id": org_id, "address": address, "nonce": nonce, "id": made})
    freeing = {"org_id": org_id, "chain_id": 31337, "address": address, "free_above": 10_000}

    async def due(above: bool = True) -> tuple[list[UUID], bool]:
        async with database.begin() as connection:
            found, more = await resync._lock_budgets(connection, freeing | {"above": above, "reset": False})
            await connection.execute(FREE, {"agents": found})
            return found, more

    assert await due(above=False) == ([], False)
    assert await due() == (agents[5:7], True)
    assert await due() == (agents[7:], False)
    assert await due() == ([], False)
