"""Two instances side by side, and a second start on one home: vaults, agents, keys, nonces, limits are kept."""

from pathlib import Path

import psycopg

from tests.flows.test_lying_nodes import assert_ledger
from tests.flows.test_nonces import assert_mined_once
from tests.support.instance import Running, start_instance
from tests.support.world import Agent, World, address


async def test_a_second_start_keeps_everything(tmp_path: Path) -> None:
    running = await start_instance(tmp_path / "home")
    neighbour = await start_instance(tmp_path / "neighbour")
    try:
        world, other = await World.of(running), await World.of(neighbour)
        wallet, agent = await world.wallet(), await world.agent(tx_daily_limit_eth="1")
        note = await world.http.put(
            f"/v1/vaults/{world.vault_id}/secrets/note",
            json={"type": "note", "value": "remember me"},
            headers=world.headers,
        )
        assert note.status_code == 201, note.text
        to = address()
        sent = [await agent.submit(wallet, to, "0.3", idempotency_key="once") for _ in range(2)]
        assert [each.status_code for each in sent] == [201, 200]
        await agent.mined(sent[0].json()["id"])
        # the neighbour has a database, a token and a chain of its own
        strange = await other.http.get(f"/v1/vaults/{world.vault_id}", headers=other.headers)
        assert strange.status_code == 404
        assert (await other.http.get("/v1/auth/me", headers=world.headers)).status_code == 401
        ports = {"TALON_PORT": str(running.port), "TALON_ANVIL_PORT": str(running.anvil_port)}
        await running.stop()
        await world.close()
        assert await neighbour.healthy()
        await other.close()

        password = running.admin_password
        running = await start_instance(tmp_path / "home", ports | {"TALON_ADMIN_PASSWORD": password})
        running.admin_password = password
        again = await World.of(running)
        kept = Agent(agent.id, again.http, agent.key)
        read = await again.http.get(f"/v1/vaults/{world.vault_id}/secrets/note", headers=again.headers)
        assert read.json()["value"] == "remember me"
        replay = await kept.submit(wallet, to, "0.3", idempotency_key="once")
        assert replay.status_code == 200
        assert replay.json()["tx_hash"] == sent[0].json()["tx_hash"]
        assert (await kept.submit(wallet, address(), "0.8")).status_code == 403
        second = await kept.submit(wallet, address(), "0.7")
        assert second.status_code == 201, second.text
        await assert_mined_once(again, wallet.address, [sent[0].json()["tx_hash"], second.json()["tx_hash"]])
        await again.close()
    finally:
        await running.stop()
        await neighbour.stop()


async def test_the_ledger_of_the_shared_instance_agrees_with_itself(instance: Running) -> None:
    async with await psycopg.AsyncConnection.connect(instance.owner_dsn, autocommit=True) as database:
        rows = await (await database.execute("SELECT count(*) FROM agent_budgets")).fetchone()
        if rows is not None and rows[0]:  # alone, this test has nothing to compare
            await assert_ledger(database)
